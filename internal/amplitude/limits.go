// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitude // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"

import "time"

// Limits of the HTTP V2 and batch APIs. Source: Amplitude's "HTTP V2 API" and "Batch Event Upload API" pages.
const (
	// MaxStringLength is the number of characters (UTF-16 code units) after which Amplitude truncates a string.
	MaxStringLength = 1024
	// MaxDepth is how deeply event and user properties may be nested.
	MaxDepth = 40
	// MaxGroupTypes and MaxGroupValues bound the groups of one event; Amplitude ignores the rest.
	MaxGroupTypes  = 5
	MaxGroupValues = 10
	// MaxExperimentProperties is how many [Experiment] user properties one project may have.
	MaxExperimentProperties = 1500
	// MaxPropertyKeys is the maximum number of properties that Amplitude's server SDKs put in one event.
	MaxPropertyKeys = 1024
	// DefaultMinIDLength is the shortest user_id or device_id accepted unless options.min_id_length says otherwise.
	DefaultMinIDLength = 5
	// DedupeWindow is how long Amplitude remembers an insert_id, counted from its receipt.
	DedupeWindow = 7 * 24 * time.Hour

	// MaxRequestBytesV2 is documented as 1 MB; the smaller reading of it is used, to be safe.
	MaxRequestBytesV2    = 1_000_000
	MaxRequestBytesBatch = 20_000_000
	// MaxRequestEvents is the larger reading of "fewer than 2000"; senders stay below it.
	MaxRequestEvents = 2000
)

// Paths of the ingestion endpoints on every Amplitude host.
const (
	PathHTTPV2        = "/2/httpapi"
	PathBatch         = "/batch"
	PathIdentify      = "/identify"
	PathGroupIdentify = "/groupidentify"
)
