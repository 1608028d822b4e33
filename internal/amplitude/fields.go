// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitude // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"

// Top-level fields of an HTTP V2 event that the components name in code.
// Fields holds all of them.
const (
	FieldUserID                 = "user_id"
	FieldDeviceID               = "device_id"
	FieldEventType              = "event_type"
	FieldTime                   = "time"
	FieldSessionID              = "session_id"
	FieldInsertID               = "insert_id"
	FieldEventID                = "event_id"
	FieldEventProperties        = "event_properties"
	FieldUserProperties         = "user_properties"
	FieldGroups                 = "groups"
	FieldGroupProperties        = "group_properties"
	FieldSkipUserPropertiesSync = "$skip_user_properties_sync"
	FieldPartnerID              = "partner_id"
	FieldLibrary                = "library"
)

// Kind is the JSON type that Amplitude accepts for a field.
type Kind uint8

const (
	// KindString is a JSON string.
	KindString Kind = iota + 1
	// KindID is an identity: text, or an integer that is written as its digits in a string.
	KindID
	// KindInteger is a JSON integer; a string of digits is accepted and written as a number.
	KindInteger
	// KindNumber is any finite JSON number.
	KindNumber
	// KindBool is true or false.
	KindBool
	// KindObject is a JSON object.
	KindObject
)

// Fields maps each top-level field that an event may carry as amplitude.<field> to its kind.
// event_type, time and the property objects are absent: they come from the record itself or
// from the attribute families amplitude.user_properties., .group_properties. and .groups.
//
// Source: Amplitude HTTP V2 API, "Keys for the event argument".
var Fields = map[string]Kind{
	FieldUserID:                 KindID,
	FieldDeviceID:               KindID,
	FieldSessionID:              KindInteger,
	FieldInsertID:               KindString,
	FieldEventID:                KindInteger,
	FieldSkipUserPropertiesSync: KindBool,
	FieldPartnerID:              KindString,
	FieldLibrary:                KindString,
	"user_agent":                KindString,
	"app_version":               KindString,
	"version_name":              KindString,
	"platform":                  KindString,
	"os_name":                   KindString,
	"os_version":                KindString,
	"device_brand":              KindString,
	"device_manufacturer":       KindString,
	"device_model":              KindString,
	"carrier":                   KindString,
	"country":                   KindString,
	"region":                    KindString,
	"city":                      KindString,
	"dma":                       KindString,
	"language":                  KindString,
	"price":                     KindNumber,
	"quantity":                  KindInteger,
	"revenue":                   KindNumber,
	"productId":                 KindString,
	"revenueType":               KindString,
	"currency":                  KindString,
	"location_lat":              KindNumber,
	"location_lng":              KindNumber,
	"ip":                        KindString,
	"idfa":                      KindString,
	"idfv":                      KindString,
	"adid":                      KindString,
	"android_id":                KindString,
	"android_app_set_id":        KindString,
	"plan":                      KindObject,
	"ingestion_metadata":        KindObject,
}

// FieldEventJSON is not an Amplitude field: amplitude.event_json holds further members of the event, for which there
// are no attributes, as the text of a JSON object. The receiver writes unknown fields to it.
const FieldEventJSON = "event_json"

// RemoteIP as the field ip means the address that the request came from.
//
// Source: Amplitude HTTP V2 API, "Keys for the event argument": ip.
const RemoteIP = "$remote"

// DescriptiveFields are the top-level fields that only describe the device and the location of a user.
//
// Source: Amplitude HTTP V2 API, "Keys for the event argument": device and location fields.
var DescriptiveFields = map[string]struct{}{
	"user_agent": {}, "app_version": {}, "version_name": {}, "platform": {}, "os_name": {}, "os_version": {},
	"device_brand": {}, "device_manufacturer": {}, "device_model": {}, "carrier": {}, "language": {},
	"country": {}, "region": {}, "city": {}, "dma": {}, "location_lat": {}, "location_lng": {}, "ip": {},
}

// ReservedEventTypes are refused by Amplitude when a client sends them.
var ReservedEventTypes = map[string]struct{}{
	"[Amplitude] Start Session":        {},
	"[Amplitude] End Session":          {},
	"[Amplitude] Revenue":              {},
	"[Amplitude] Revenue (Verified)":   {},
	"[Amplitude] Revenue (Unverified)": {},
	"[Amplitude] Merged User":          {},
}
