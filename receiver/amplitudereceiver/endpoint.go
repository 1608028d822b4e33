// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"

import (
	"mime"
	"net/http"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// endpoint is the part of Amplitude's API that a request is for.
type endpoint uint8

const (
	endpointHTTPV2 endpoint = iota
	endpointBatch
	endpointIdentify
	endpointGroupIdentify
	endpointOther
	numEndpoints
)

var endpointNames = [numEndpoints]string{"httpapi", "batch", "identify", "groupidentify", "other"}

func endpointOf(r *http.Request) endpoint {
	if r.Method == http.MethodPost {
		switch strings.TrimSuffix(r.URL.Path, "/") {
		case amplitude.PathHTTPV2:
			return endpointHTTPV2
		case amplitude.PathBatch:
			return endpointBatch
		case amplitude.PathIdentify:
			return endpointIdentify
		case amplitude.PathGroupIdentify:
			return endpointGroupIdentify
		}
	}
	return endpointOther
}

// isForm reports whether the endpoint accepts a form.
func (e endpoint) isForm() bool { return e == endpointIdentify || e == endpointGroupIdentify }

func (e endpoint) maxBytes() int64 {
	if e == endpointBatch {
		return maxBytesBatch
	}
	return maxBytesV2
}

// accepts reports whether the endpoint accepts a body of a type. JSON also comes under other types: curl --data calls it
// a form, and navigator.sendBeacon plain text.
func (e endpoint) accepts(contentType string) bool {
	if e.isForm() {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	switch mediaType {
	case "application/json", "text/plain", "application/x-www-form-urlencoded":
		return err == nil
	default:
		return false
	}
}
