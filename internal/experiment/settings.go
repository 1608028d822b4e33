// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// The words of the settings.
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

// MaxNames bounds a list of attribute names: a name's place in the list is kept in 8 bits.
const MaxNames = 64

// Settings say how records are mapped. Its sections have the fields of the component's configuration, which
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
	// ParseJSONBody reads a body that is the text of a JSON object as that object.
	ParseJSONBody bool
	// AcceptShaped trusts records that look like events of another Collector, and whatever passes.
	AcceptShaped bool
	// OtherRecords is OtherPass or OtherDrop.
	OtherRecords      string
	SetUserProperties bool
	// Include holds the patterns of the attribute names that travel as event properties.
	Include []string
	// MaxProperties is the number of distinct flags beyond which flags are refused; 0 means no limit.
	MaxProperties int
	// InsertIDFormat is InsertIDStrong or InsertIDSDK.
	InsertIDFormat string
	// Window numbers the day, or other window of time, that an event belongs to.
	Window *Window
	// OwnSkipReasons: Evaluation.SkipReasons are an operator's own, which no preset adds to.
	OwnSkipReasons bool
	// FlagsSeen is told the number of distinct flags when it grows, and may ask, before it returns, for those that no record
	// has told of for the longest time.
	FlagsSeen func(n int, unseen Unseen)
	Limits    LimitSettings
}

// LimitSettings bound what one record or one batch may cost.
type LimitSettings struct {
	// Flags is how many flags of one assignment are read.
	Flags int
	// SubjectRecords is how many records of one subject are taken of one batch.
	SubjectRecords int
	// InheritedBytes is how much the records of one batch may copy of what their scopes and resources say.
	InheritedBytes int
}

// ExposureSettings say how explicit exposures are recognized and written; Wire and Unassigned hold for evaluations, too.
type ExposureSettings struct {
	EventNames    []string
	FlagKey       []string
	Variant       []string
	ExperimentKey []string
	OffVariants   []string
	Wire          string
	Unassigned    string
	CustomEvents  []string
	// SetUserProperties holds for evaluations, too.
	SetUserProperties bool
}

// EvaluationSettings say how flag evaluations are recognized and which of them are exposures.
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

// ImpressionSettings say whether impressions are recognized. They are read as exposures are.
type ImpressionSettings struct {
	Enabled    bool
	EventNames []string
}

// OutcomeSettings say which records are outcomes, and what their events tell.
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

// TrackingSettings say how calls of OpenFeature's track are recognized, and where they name the outcome.
type TrackingSettings struct {
	EventNames []string
	Name       []string
}

func (s *OutcomeSettings) enabled() bool { return len(s.Events) > 0 }

// AssignmentSettings say how assignments are recognized and written.
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

// IdentitySettings say where the ids of an event are found.
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

// setsProperties tells whether records of a kind set user properties.
func (s *Settings) setsProperties(kind recordKind) bool {
	if kind == kindAssignment {
		return s.SetUserProperties && s.Assignment.SetUserProperties
	}
	return s.SetUserProperties && s.Exposure.SetUserProperties
}
