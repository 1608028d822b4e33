// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Values of the text switches.
const (
	ShortIDReject = "reject" // the request gets a 400 with events_with_invalid_id_lengths
	ShortIDStrip  = "strip"  // the id is removed from the event

	IndexAll   = "all"   // a 400 lists every failing event of a field
	IndexFirst = "first" // a 400 lists the first failing event of a field

	DedupeDeviceInsert = "device+insert"
	DedupeInsert       = "insert"

	Accept     = "accept"
	Reject     = "reject"
	AcceptForm = "form" // JSON, including JSON with a form's content type

	BytesDecompressed = "decompressed"
	BytesWire         = "wire"

	NullIgnore = "ignore"
	NullSet    = "set"

	PlainLast  = "last"
	PlainFirst = "first"

	UnassignedEvent = "event" // it is stored, and the user property is unset
	UnassignedUnset = "unset" // only the user property is unset

	ImpressionSet  = "set"
	ImpressionNone = "none"

	OrderArrival = "arrival" // the event that arrives last decides about a property
	OrderTime    = "time"    // the event with the newest time does

	EmptyIDInvalid = "invalid"
	EmptyIDAbsent  = "absent"
)

// Values of Behavior.RawExposure.
const (
	RawExposureTransform = "transform"
	RawExposureKeep      = "keep"
)

// Values of Behavior.InvalidKey.
const (
	InvalidKeyNamed        = "named"
	InvalidKeyUnauthorized = "unauthorized"
)

// Values of Behavior.BigNumbers.
const (
	NumbersExact   = "exact"
	NumbersFloat64 = "float64"
)

// Endpoint holds the limits that differ between HTTP V2 and batch.
type Endpoint struct {
	// MaxBytes is the size of a body above which the answer is 413.
	MaxBytes int64 `json:"max_bytes" mapstructure:"max_bytes"`
	// MaxEvents is the number of events above which the answer is 413.
	MaxEvents int `json:"max_events" mapstructure:"max_events"`
	// EPSThreshold is the number of events per second of one user or device above which the answer is 429.
	EPSThreshold int `json:"eps_threshold" mapstructure:"eps_threshold"`
	// ProjectEPS is the number of events per second of the whole project above which the answer is 429; 0 is no limit.
	ProjectEPS int `json:"project_eps" mapstructure:"project_eps"`
	// ShortIDMode is what happens if an id is too short: the request gets a 400 (`reject`), or the id is removed from
	// the event (`strip`).
	ShortIDMode string `json:"short_id_mode" mapstructure:"short_id_mode"`
	// DailyQuota applies the daily quota to this endpoint.
	DailyQuota bool `json:"daily_quota" mapstructure:"daily_quota"`
}

// Behavior is how the sandbox answers. The defaults follow the documentation and observations of the service; where the
// service's behavior is unknown, a switch offers the alternatives.
type Behavior struct {
	// V2 holds the limits of the HTTP V2 API and of every other path except the batch API.
	V2 Endpoint `json:"v2" mapstructure:"v2"`
	// Batch holds the limits of the batch API.
	Batch Endpoint `json:"batch" mapstructure:"batch"`

	// Strict2000 is whether a request with exactly `max_events` events is refused too ("fewer than 2000").
	Strict2000 bool `json:"strict_2000" mapstructure:"strict_2000"`
	// LimitBytesOf is the size that `max_bytes` bounds: of the decompressed body, or of the one on the wire.
	LimitBytesOf string `json:"limit_bytes_of" mapstructure:"limit_bytes_of"`
	// EPSWindow is the time over which events per second are averaged.
	EPSWindow time.Duration `json:"eps_window" mapstructure:"eps_window"`
	// DailyQuota is the number of events of one user or device in 24 hours.
	DailyQuota int `json:"daily_quota" mapstructure:"daily_quota"`
	// DailyRequiresSpammy applies the quota only to ids that were throttled before.
	DailyRequiresSpammy bool `json:"daily_requires_spammy" mapstructure:"daily_requires_spammy"`
	// ProjectEPS is a limit for both endpoints together, for tests that cannot send as much as Amplitude allows; 0 is
	// no limit.
	ProjectEPS int `json:"project_eps" mapstructure:"project_eps"`
	// ProjectLists adds empty lists to the answer for a project over `project_eps`.
	ProjectLists bool `json:"project_lists" mapstructure:"project_lists"`
	// CountRejected also counts the events of throttled requests toward the rates.
	CountRejected bool `json:"count_rejected" mapstructure:"count_rejected"`
	// ThrottleBeforeValidation answers 429 before the events are validated.
	ThrottleBeforeValidation bool `json:"throttle_before_validation" mapstructure:"throttle_before_validation"`

	// InvalidKey is the answer to an API key that is not of a project in the region: a 400 that names it, as users report, or a 401.
	InvalidKey string `json:"invalid_key" mapstructure:"invalid_key"`
	// MinIDLength is the minimum length of an id unless a request's options override it.
	MinIDLength int `json:"min_id_length" mapstructure:"min_id_length"`
	// EmptyID is how an empty user id or device id is treated.
	EmptyID string `json:"empty_id" mapstructure:"empty_id"`
	// MissingIDField is the field named when an event has neither id.
	MissingIDField string `json:"missing_id_field" mapstructure:"missing_id_field"`
	// IndexMode is which of the events that fail on a field a 400 lists: all, or the first.
	IndexMode string `json:"index_mode" mapstructure:"index_mode"`
	// InvalidIDIndexed lists the events whose id is a refused placeholder.
	InvalidIDIndexed bool `json:"invalid_id_indexed" mapstructure:"invalid_id_indexed"`

	// DedupeWindow is how long a copy is recognized.
	DedupeWindow time.Duration `json:"dedupe_window" mapstructure:"dedupe_window"`
	// DedupeKey is what copies have in common: device and `insert_id`, or `insert_id` alone.
	DedupeKey string `json:"dedupe_key" mapstructure:"dedupe_key"`
	// DedupeEventID also compares `event_id`, time and device, when an `event_id` is present.
	DedupeEventID bool `json:"dedupe_event_id" mapstructure:"dedupe_event_id"`
	// DedupeCountsAsIngested counts duplicates in `events_ingested`.
	DedupeCountsAsIngested bool `json:"dedupe_counts_as_ingested" mapstructure:"dedupe_counts_as_ingested"`
	// DedupeDerivedDevice recognizes copies of events that have a `user_id` and no `device_id`.
	DedupeDerivedDevice bool `json:"dedupe_derived_device" mapstructure:"dedupe_derived_device"`
	// DedupeIdentify also applies de-duplication to `$identify` and `$groupidentify`.
	DedupeIdentify bool `json:"dedupe_identify" mapstructure:"dedupe_identify"`

	// PartialRequests ingests the valid events of a request that gets a 400 because of others.
	PartialRequests bool `json:"partial_requests" mapstructure:"partial_requests"`

	// StringLimit is the length in UTF-16 code units beyond which text is truncated.
	StringLimit int `json:"string_limit" mapstructure:"string_limit"`
	// MaxDepth is the deepest nesting of properties that RejectDepth accepts.
	MaxDepth int `json:"max_depth" mapstructure:"max_depth"`
	// RejectDepth answers 400 to properties nested deeper than MaxDepth.
	RejectDepth bool `json:"reject_depth" mapstructure:"reject_depth"`
	// PropUpdateLimit is the number of property updates per user and hour; further ones are silently dropped.
	PropUpdateLimit int `json:"prop_update_limit" mapstructure:"prop_update_limit"`
	// NullProperties is what a plain null property does: nothing, or set the property to null.
	NullProperties string `json:"null_properties" mapstructure:"null_properties"`
	// PlainProperties is when the plain properties of an event that also has operators are set: last, or first.
	PlainProperties string `json:"plain_properties" mapstructure:"plain_properties"`
	// BigNumbers is how numbers beyond 2^53 are kept.
	BigNumbers string `json:"big_numbers" mapstructure:"big_numbers"`

	// EventOperators applies the operators in `user_properties` of every event, as Amplitude's SDKs expect, and not
	// only of `$identify`, as documented.
	EventOperators bool `json:"event_operators" mapstructure:"event_operators"`
	// PropertyOrder is which of two events decides about a user property: the one that arrives last, or the one with the newest time.
	PropertyOrder string `json:"property_order" mapstructure:"property_order"`
	// SkipUserPropertiesSync honors `$skip_user_properties_sync`.
	SkipUserPropertiesSync bool `json:"skip_user_properties_sync" mapstructure:"skip_user_properties_sync"`
	// EventsInOrder applies the events of a request in array order; otherwise the last one comes first.
	EventsInOrder bool `json:"events_in_order" mapstructure:"events_in_order"`
	// RawExposure is what becomes of `$exposure`: it is transformed into `[Experiment] Exposure`, which sets the user
	// property, as documented, or kept as an event like any other.
	RawExposure string `json:"raw_exposure" mapstructure:"raw_exposure"`
	// UnassignedExposure is what becomes of a `$exposure` or `$impression` without a variant: an event that unsets the
	// user property, as in the documentation's table, or only the unset without an event, as in two of Amplitude's
	// client SDKs.
	UnassignedExposure string `json:"unassigned_exposure" mapstructure:"unassigned_exposure"`
	// ImpressionProperty is what a `$impression` does to the user property of its flag: set (or unset) it, as
	// documented, or nothing.
	ImpressionProperty string `json:"impression_property" mapstructure:"impression_property"`
	// ExperimentPropertyLimit is the number of `[Experiment]` user properties of a project beyond which each new one gets a warning.
	ExperimentPropertyLimit int `json:"experiment_property_limit" mapstructure:"experiment_property_limit"`

	// WAFPatterns are regular expressions; a body that matches one gets a 403.
	WAFPatterns []string `json:"waf_patterns" mapstructure:"waf_patterns"`
	// BlockedEventTypes are event types that are accepted, then discarded.
	BlockedEventTypes []string `json:"blocked_event_types" mapstructure:"blocked_event_types"`
	// DeletedEventTypes are event types that are accepted, then discarded.
	DeletedEventTypes []string `json:"deleted_event_types" mapstructure:"deleted_event_types"`
	// SilencedDevices are device ids whose requests get a 400.
	SilencedDevices []string `json:"silenced_devices" mapstructure:"silenced_devices"`

	// ContentType is what happens to a request whose Content-Type is not JSON: it is refused, accepted, or accepted if
	// it is that of a form, which curl --data sends.
	ContentType string `json:"content_type" mapstructure:"content_type"`
	// AcceptGzip accepts bodies that are compressed with gzip.
	AcceptGzip bool `json:"accept_gzip" mapstructure:"accept_gzip"`
	// RejectDuplicateKeys refuses JSON objects with duplicate keys.
	RejectDuplicateKeys bool `json:"reject_duplicate_keys" mapstructure:"reject_duplicate_keys"`
	// EmptyEvents is what happens to an empty `events` array.
	EmptyEvents string `json:"empty_events" mapstructure:"empty_events"`
	// UnknownKeys is what happens to an event with a key that Amplitude does not know.
	UnknownKeys string `json:"unknown_keys" mapstructure:"unknown_keys"`

	// JSONBodyNewline ends JSON answers with a line break.
	JSONBodyNewline bool `json:"json_body_newline" mapstructure:"json_body_newline"`
	// HTMLErrors answers 403, 413 and 5xx with HTML, as a proxy in between would.
	HTMLErrors bool `json:"html_errors" mapstructure:"html_errors"`
	// OmitEmpty leaves empty maps out of throttling answers.
	OmitEmpty bool `json:"omit_empty" mapstructure:"omit_empty"`

	// StarterPlan warns about batches above 10 events.
	StarterPlan bool `json:"starter_plan" mapstructure:"starter_plan"`
	// SharedDeviceUsers is the number of users per device above which a warning is recorded.
	SharedDeviceUsers int `json:"shared_device_users" mapstructure:"shared_device_users"`
}

// DefaultBehavior returns the documented or observed behavior of the service.
func DefaultBehavior() Behavior {
	return Behavior{
		V2:                     Endpoint{MaxBytes: maxBytesV2, MaxEvents: maxEvents, EPSThreshold: userRateV2, ProjectEPS: projectRateV2, ShortIDMode: ShortIDReject},
		Batch:                  Endpoint{MaxBytes: maxBytesBatch, MaxEvents: maxEvents, EPSThreshold: userRateBatch, ProjectEPS: projectRateBatch, ShortIDMode: ShortIDStrip, DailyQuota: true},
		LimitBytesOf:           BytesDecompressed,
		EPSWindow:              rateWindow,
		DailyQuota:             dailyEvents,
		InvalidKey:             InvalidKeyNamed,
		MinIDLength:            shortestID,
		EmptyID:                EmptyIDAbsent,
		MissingIDField:         fieldDeviceID,
		IndexMode:              IndexAll,
		DedupeWindow:           insertIDWindow,
		DedupeKey:              DedupeDeviceInsert,
		DedupeCountsAsIngested: true,
		DedupeDerivedDevice:    true,
		DedupeIdentify:         true,
		StringLimit:            maxText,
		MaxDepth:               maxNesting,
		PropUpdateLimit:        propertyUpdatesHourly,
		NullProperties:         NullIgnore,
		PlainProperties:        PlainLast,
		BigNumbers:             NumbersExact,
		EventOperators:         true,
		PropertyOrder:          OrderArrival,
		SkipUserPropertiesSync: true,
		EventsInOrder:          true,
		RawExposure:            RawExposureTransform,
		UnassignedExposure:     UnassignedEvent,
		ImpressionProperty:     ImpressionSet,
		ContentType:            AcceptForm,
		AcceptGzip:             true,
		EmptyEvents:            Accept,
		UnknownKeys:            Accept,
		JSONBodyNewline:        true,
		SharedDeviceUsers:      10,

		ExperimentPropertyLimit: maxExperimentProperties,
	}
}

// behaviorJSON is Behavior with durations as text, for the API.
type behaviorJSON struct {
	*Behavior
	EPSWindow    *Duration `json:"eps_window"`
	DedupeWindow *Duration `json:"dedupe_window"`
}

func (b *Behavior) json() *behaviorJSON {
	return &behaviorJSON{b, (*Duration)(&b.EPSWindow), (*Duration)(&b.DedupeWindow)}
}

// validate returns what is wrong, one error per key.
func (b *Behavior) validate() error {
	var errs []error
	positive := func(key string, value int64) {
		if value <= 0 {
			errs = append(errs, fmt.Errorf("%s must be positive (got %d)", key, value))
		}
	}
	notNegative := func(key string, value int64) {
		if value < 0 {
			errs = append(errs, fmt.Errorf("%s must not be negative (got %d)", key, value))
		}
	}
	for _, e := range []struct {
		name string
		Endpoint
	}{{"v2", b.V2}, {"batch", b.Batch}} {
		positive(e.name+"::max_bytes", e.MaxBytes)
		positive(e.name+"::max_events", int64(e.MaxEvents))
		positive(e.name+"::eps_threshold", int64(e.EPSThreshold))
		notNegative(e.name+"::project_eps", int64(e.ProjectEPS))
		errs = append(errs, oneOf(e.name+"::short_id_mode", e.ShortIDMode, ShortIDReject, ShortIDStrip))
	}
	positive("daily_quota", int64(b.DailyQuota))
	positive("min_id_length", int64(b.MinIDLength))
	positive("string_limit", int64(b.StringLimit))
	positive("max_depth", int64(b.MaxDepth))
	positive("prop_update_limit", int64(b.PropUpdateLimit))
	positive("experiment_property_limit", int64(b.ExperimentPropertyLimit))
	positive("shared_device_users", int64(b.SharedDeviceUsers))
	notNegative("project_eps", int64(b.ProjectEPS))
	for key, d := range map[string]time.Duration{"eps_window": b.EPSWindow, "dedupe_window": b.DedupeWindow} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s must be a positive duration (got %s)", key, d))
		}
	}
	errs = append(errs,
		oneOf("limit_bytes_of", b.LimitBytesOf, BytesDecompressed, BytesWire),
		oneOf("empty_id", b.EmptyID, EmptyIDInvalid, EmptyIDAbsent),
		oneOf("missing_id_field", b.MissingIDField, fieldDeviceID, fieldUserID),
		oneOf("index_mode", b.IndexMode, IndexAll, IndexFirst),
		oneOf("dedupe_key", b.DedupeKey, DedupeDeviceInsert, DedupeInsert),
		oneOf("null_properties", b.NullProperties, NullIgnore, NullSet),
		oneOf("plain_properties", b.PlainProperties, PlainLast, PlainFirst),
		oneOf("big_numbers", b.BigNumbers, NumbersExact, NumbersFloat64),
		oneOf("property_order", b.PropertyOrder, OrderArrival, OrderTime),
		oneOf("raw_exposure", b.RawExposure, RawExposureTransform, RawExposureKeep),
		oneOf("invalid_key", b.InvalidKey, InvalidKeyNamed, InvalidKeyUnauthorized),
		oneOf("unassigned_exposure", b.UnassignedExposure, UnassignedEvent, UnassignedUnset),
		oneOf("impression_property", b.ImpressionProperty, ImpressionSet, ImpressionNone),
		oneOf("content_type", b.ContentType, AcceptForm, Accept, Reject),
		oneOf("empty_events", b.EmptyEvents, Accept, Reject),
		oneOf("unknown_keys", b.UnknownKeys, Accept, Reject),
	)
	for _, pattern := range b.WAFPatterns {
		if _, err := regexp.Compile(pattern); err != nil {
			errs = append(errs, fmt.Errorf("waf_patterns must be regular expressions: %w", err))
		}
	}
	return errors.Join(errs...)
}
