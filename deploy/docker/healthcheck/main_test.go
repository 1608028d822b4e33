// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		status int
		err    string
	}{
		{http.StatusOK, ""},
		{http.StatusServiceUnavailable, "answered 503 Service Unavailable: not yet"},
		{http.StatusNotFound, "answered 404 Not Found: not yet"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tc.status)
			_, _ = w.Write([]byte("not yet"))
		}))
		err := check(server.URL)
		server.Close()
		if tc.err == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, tc.err)
		}
	}
	require.Error(t, check("http://127.0.0.1:1/"))
	require.Error(t, check("::"))
}
