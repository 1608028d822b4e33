// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"maps"
	"slices"
	"time"
)

// This file holds what Amplitude documents about its ingestion APIs, independently of any client: the pages "HTTP V2
// API", "Batch Event Upload API", "Identify API", "Group Identify API" and, for experiments, "Event tracking".

// Paths of the ingestion APIs.
const (
	pathHTTPV2        = "/2/httpapi"
	pathBatch         = "/batch"
	pathIdentify      = "/identify"
	pathGroupIdentify = "/groupidentify"
)

// Event types that mean something to the server.
const (
	eventRawExposure   = "$exposure" // becomes eventExposure
	eventExposure      = "[Experiment] Exposure"
	eventRawImpression = "$impression" // becomes eventImpression
	eventImpression    = "[Experiment] Impression"
	eventAssignment    = "[Experiment] Assignment"
	eventIdentify      = "$identify"
	eventGroupIdentify = "$groupidentify"
)

// reservedEventTypes are Amplitude's own; a client must not send them.
var reservedEventTypes = []string{
	"[Amplitude] Start Session",
	"[Amplitude] End Session",
	"[Amplitude] Revenue",
	"[Amplitude] Revenue (Verified)",
	"[Amplitude] Revenue (Unverified)",
	"[Amplitude] Merged User",
}

// Properties of experiments.
const (
	experimentPrefix = "[Experiment] " // followed by the flag key: the user property with the variant

	rawFlagKey       = "flag_key"
	rawVariant       = "variant"
	rawExperimentKey = "experiment_key"
	rawMetadata      = "metadata"

	propertyFlagKey         = "[Experiment] Flag Key"
	propertyVariant         = "[Experiment] Variant"
	propertyExperimentKey   = "[Experiment] Experiment Key"
	propertyEnvironmentName = "[Experiment] Environment Name"

	suffixVariant = ".variant" // after the flag key, in an assignment
)

// Operations on properties.
const (
	opClearAll   = "$clearAll"
	opUnset      = "$unset"
	opSet        = "$set"
	opSetOnce    = "$setOnce"
	opAdd        = "$add"
	opAppend     = "$append"
	opPrepend    = "$prepend"
	opPreInsert  = "$preInsert"
	opPostInsert = "$postInsert"
	opRemove     = "$remove"

	unsetValue = "-" // a convention: the server only reads the key
)

// operators are in the order in which the server applies them, as two of Amplitude's SDKs copy it.
var operators = []string{
	opClearAll, opUnset, opSet, opSetOnce, opAdd, opAppend, opPrepend, opPreInsert, opPostInsert, opRemove,
}

// valueKind is what an event field may hold. null counts as absent in all of them.
type valueKind string

const (
	kindText   valueKind = "text"   // or a number, which becomes its digits
	kindID     valueKind = "id"     // text or a number, and no refused value
	kindWhole  valueKind = "whole"  // a whole number
	kindNumber valueKind = "number" // any number
	kindFlag   valueKind = "flag"   // true or false; anything else is ignored
	kindObject valueKind = "object"
)

// Fields that the code names.
const (
	fieldUserID                 = "user_id"
	fieldDeviceID               = "device_id"
	fieldEventType              = "event_type"
	fieldTime                   = "time"
	fieldEventProperties        = "event_properties"
	fieldUserProperties         = "user_properties"
	fieldGroups                 = "groups"
	fieldGroupProperties        = "group_properties"
	fieldInsertID               = "insert_id"
	fieldEventID                = "event_id"
	fieldSkipUserPropertiesSync = "$skip_user_properties_sync"
)

// eventFields are the keys of an event, in the order of the page "HTTP V2 API"; the last five only appear in SDKs.
var eventFields = map[string]valueKind{
	fieldUserID:                 kindID,
	fieldDeviceID:               kindID,
	fieldEventType:              kindText,
	"user_agent":                kindText,
	fieldTime:                   kindWhole,
	fieldEventProperties:        kindObject,
	fieldUserProperties:         kindObject,
	fieldGroups:                 kindObject,
	fieldGroupProperties:        kindObject,
	fieldSkipUserPropertiesSync: kindFlag,
	"app_version":               kindText,
	"platform":                  kindText,
	"os_name":                   kindText,
	"os_version":                kindText,
	"device_brand":              kindText,
	"device_manufacturer":       kindText,
	"device_model":              kindText,
	"carrier":                   kindText,
	"country":                   kindText,
	"region":                    kindText,
	"city":                      kindText,
	"dma":                       kindText,
	"language":                  kindText,
	"price":                     kindNumber,
	"quantity":                  kindWhole,
	"revenue":                   kindNumber,
	"productId":                 kindText,
	"revenueType":               kindText,
	"currency":                  kindText,
	"location_lat":              kindNumber,
	"location_lng":              kindNumber,
	"ip":                        kindText,
	"idfa":                      kindText,
	"idfv":                      kindText,
	"adid":                      kindText,
	"android_id":                kindText,
	"android_app_set_id":        kindText,
	fieldEventID:                kindWhole,
	"session_id":                kindWhole,
	fieldInsertID:               kindText,
	"partner_id":                kindText,
	"plan":                      kindObject,

	"version_name":       kindText,
	"library":            kindText,
	"ingestion_metadata": kindObject,
	"receipt":            kindText,
	"receiptSig":         kindText,
}

// resetGroups are groups of fields: sending one of a group resets the others that are not sent.
var resetGroups = [][]string{
	{"platform", "os_name", "os_version", "device_brand", "device_manufacturer", "device_model", "carrier"},
	{"country", "region", "city", "dma"},
}

// refusedIDs are user and device ids that get a 400, in lower case; case does not matter. The page shows the empty id
// as a pair of quotes, which is therefore refused as well.
var refusedIDs = []string{
	"anonymous", "nil", "none", "null", "n/a", "na", "undefined", "unknown", "", `""`,
	"00000000-0000-0000-0000-000000000000", "{}", "lmy47d", "0", "-1",
}

// Limits that Behavior cannot change.
const (
	maxText                 = 1024 // UTF-16 units, beyond which text is cut
	maxNesting              = 40
	maxGroupTypes           = 5
	maxGroupValues          = 10
	maxExperimentProperties = 1500
	shortestID              = 5
	insertIDWindow          = 7 * 24 * time.Hour
	maxEvents               = 2000 // of one request
	maxBytesV2              = 1 << 20
	maxBytesBatch           = 20 << 20
	userRateV2              = 30 // events a second of one user or device
	userRateBatch           = 1000
	projectRateV2           = 50_000 // events a second of one project
	projectRateBatch        = 100_000
	rateWindow              = 30 * time.Second
	dailyEvents             = 500_000 // of one user or device
	propertyUpdatesHourly   = 1800
)

// Rules are the sandbox's tables of what Amplitude documents. Clients compare their own tables with them in tests.
type Rules struct {
	// Fields holds what each key of an event may be: text, id, whole, number, flag or object.
	Fields map[string]string
	// Operators are in the order in which the server applies them.
	Operators []string
	// ReservedEventTypes and RefusedIDs get a 400.
	ReservedEventTypes []string
	RefusedIDs         []string
	// Names are event types, properties and paths by meaning.
	Names map[string]string
	// Limits are numbers by what they bound; durations are in seconds.
	Limits map[string]int
}

// Documented returns the tables.
func Documented() Rules {
	fields := make(map[string]string, len(eventFields))
	for field, kind := range eventFields {
		fields[field] = string(kind)
	}
	return Rules{
		Fields:             fields,
		Operators:          slices.Clone(operators),
		ReservedEventTypes: slices.Clone(reservedEventTypes),
		RefusedIDs:         slices.Clone(refusedIDs),
		Names: map[string]string{
			"raw exposure": eventRawExposure, "exposure": eventExposure,
			"raw impression": eventRawImpression, "impression": eventImpression, "assignment": eventAssignment,
			"identify": eventIdentify, "group identify": eventGroupIdentify,
			"experiment prefix": experimentPrefix, "raw flag key": rawFlagKey, "raw variant": rawVariant,
			"raw experiment key": rawExperimentKey, "raw metadata": rawMetadata,
			"flag key": propertyFlagKey, "variant": propertyVariant, "experiment key": propertyExperimentKey,
			"environment name": propertyEnvironmentName, "variant suffix": suffixVariant, "unset value": unsetValue,
			"HTTP V2 path": pathHTTPV2, "batch path": pathBatch, "identify path": pathIdentify, "group identify path": pathGroupIdentify,
		},
		Limits: map[string]int{
			"text": maxText, "nesting": maxNesting, "group types": maxGroupTypes, "group values": maxGroupValues,
			"experiment properties": maxExperimentProperties, "id length": shortestID,
			"insert id window": int(insertIDWindow / time.Second), "events of a request": maxEvents,
			"bytes of HTTP V2": maxBytesV2, "bytes of batch": maxBytesBatch,
		},
	}
}

// knownKeys interns keys that recur in every event.
var knownKeys = func() map[string]string {
	keys := map[string]string{}
	for _, key := range slices.Concat(operators, slices.Collect(maps.Keys(eventFields)), []string{
		propertyFlagKey, propertyVariant, propertyExperimentKey, propertyEnvironmentName,
		rawFlagKey, rawVariant, rawExperimentKey, rawMetadata,
		"api_key", "events", "options", "min_id_length", "client_upload_time",
	}) {
		keys[key] = key
	}
	return keys
}()
