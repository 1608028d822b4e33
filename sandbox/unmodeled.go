// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import "strings"

// unmodeled are paths that the sandbox does not answer like Amplitude, each with the API that it belongs to. A path
// that ends in a slash covers everything below it.
var unmodeled = []struct{ path, api string }{
	{"/httpapi", "the deprecated HTTP API"},
	{"/usermap", "the User Mapping (aliasing) API"},
	{"/attribution", "the Attribution API"},
	{"/api/2/deletions/", "the User Privacy API"},
	{"/api/2/taxonomy/", "the Taxonomy API"},
	{"/api/2/lookup_table", "the Lookup Table API"},
	{"/api/2/lookup_table/", "the Lookup Table API"},
	{"/api/2/", "the Dashboard REST API"},
	{"/api/3/", "the Dashboard REST and Behavioral Cohorts APIs"},
	{"/api/1/", "Amplitude's management APIs"},
	{"/v1/userprofile", "the User Profile API"},
	{"/v1/vardata", "the Experiment Evaluation API"},
	{"/sdk/", "Amplitude Experiment's evaluation APIs"},
	{"/sessions/", "Session Replay"},
	{"/config", "the remote configuration of Amplitude's SDKs"},
}

// notModeled returns the API that a path belongs to, or "" if Amplitude does not have the path either.
func notModeled(path string) string {
	for _, u := range unmodeled {
		if path == u.path || (strings.HasSuffix(u.path, "/") && strings.HasPrefix(path, u.path)) {
			return u.api
		}
	}
	return ""
}
