// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// Values of the settings.
const (
	WireTransformed = "transformed"
	WireRaw         = "raw"

	UnassignedEvent    = "event"
	UnassignedIdentify = "identify"
	UnassignedDrop     = "drop"

	NormalizeUnquote = "unquote"

	AsUserID   = "user_id"
	AsDeviceID = "device_id"
	AsIgnore   = "ignore"

	EmitAssignment = "assignment"
	EmitExposures  = "exposures"
	EmitBoth       = "both"

	OtherPass = "pass"
	OtherDrop = "drop"

	OverLimitDrop = "drop"
	OverLimitWait = "wait"

	PresetAuto = "auto"
	PresetNone = "none"

	InsertIDStrong = "strong"
	InsertIDSDK    = "sdk"
)

// MaxNames bounds a list of attribute names: the position in the list is stored in 8 bits.
const MaxNames = 64

// Settings configure the mapping of records. Its sections have the fields of the component's configuration, which
// documents them.
type Settings struct {
	Exposure   ExposureSettings
	Evaluation EvaluationSettings
	Assignment AssignmentSettings
	Impression ImpressionSettings
	Outcomes   OutcomeSettings
	Identity   IdentitySettings
	// EventName are the attributes that may hold the event name.
	EventName []string
	// ParseJSONBody parses a body that is the text of a JSON object.
	ParseJSONBody bool
	// AcceptShaped trusts records that look like events from another Collector, and the attributes of all records.
	AcceptShaped bool
	// OtherRecords is OtherPass or OtherDrop.
	OtherRecords      string
	SetUserProperties bool
	// Include are the patterns of the attributes that are sent as event properties.
	Include []string
	// MaxProperties is the number of distinct flags beyond which new ones are refused; 0 means no limit.
	MaxProperties int
	// InsertIDFormat is InsertIDStrong or InsertIDSDK.
	InsertIDFormat string
	// Window numbers the day, or other window of time, that an event belongs to.
	Window *Window
	// OwnSkipReasons: Evaluation.SkipReasons were configured, and presets add nothing to them.
	OwnSkipReasons bool
	// FlagsSeen is called with the number of distinct flags when it grows, and may ask, before it returns, for those
	// that no record has mentioned for the longest time.
	FlagsSeen func(n int, unseen Unseen)
	Limits    LimitSettings
}

// LimitSettings bound what one record or one batch may cost.
type LimitSettings struct {
	// Flags is how many flags of one assignment are read.
	Flags int
	// SubjectRecords is how many records of one subject are accepted from one batch.
	SubjectRecords int
	// InheritedBytes is how much the records of one batch may copy from their scopes and resources.
	InheritedBytes int
}

// ExposureSettings configure how explicit exposures are recognized and written; Wire and Unassigned also apply to
// evaluations.
type ExposureSettings struct {
	EventNames    []string
	FlagKey       []string
	Variant       []string
	ExperimentKey []string
	OffVariants   []string
	Wire          string
	Unassigned    string
	CustomEvents  []string
	// SetUserProperties also applies to evaluations.
	SetUserProperties bool
}

// EvaluationSettings configure how flag evaluations are recognized, and which of them are exposures.
type EvaluationSettings struct {
	Enabled       bool
	EventNames    []string
	FlagKey       []string
	Variant       []string
	Value         []string
	PreferValue   bool
	OffVariants   []string
	ExperimentKey []string
	Reason        []string
	SkipReasons   []string
	DefaultMarker []string
	Preset        string
}

// ImpressionSettings configure whether impressions are recognized. They are read like exposures.
type ImpressionSettings struct {
	Enabled    bool
	EventNames []string
}

// OutcomeSettings configure which records are outcomes, and what their events contain.
type OutcomeSettings struct {
	// Events are the patterns of the names that are outcomes; without any there are none.
	Events       []string
	Rename       map[string]string
	Tracking     TrackingSettings
	InsertID     []string
	Properties   []string
	Revenue      []string
	Price        []string
	Quantity     []string
	Currency     []string
	MaxPerMinute int
	OverLimit    string
}

// TrackingSettings configure how calls to OpenFeature's track are recognized, and where they name the outcome.
type TrackingSettings struct {
	EventNames []string
	Name       []string
}

func (s *OutcomeSettings) enabled() bool { return len(s.Events) > 0 }

// AssignmentSettings configure how assignments are recognized and written.
type AssignmentSettings struct {
	EventNames     []string
	Variants       []string
	OffVariants    []string
	Environment    []string
	PropertyPrefix string
	Emit           string
	// SetUserProperties lets assignments set user properties.
	SetUserProperties bool
}

// IdentitySettings configure where the ids of an event are found.
type IdentitySettings struct {
	UserID      []string
	DeviceID    []string
	SessionID   []string
	ContextID   []string
	ContextIDAs string
	Groups      map[string]string
	MinIDLength int
	Normalize   []string
}

// setsProperties reports whether records of a kind set user properties.
func (s *Settings) setsProperties(kind recordKind) bool {
	if kind == kindAssignment {
		return s.SetUserProperties && s.Assignment.SetUserProperties
	}
	return s.SetUserProperties && s.Exposure.SetUserProperties
}
