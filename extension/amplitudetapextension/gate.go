// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudetapextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension"

import (
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

// gate keeps out pages of other sites: a request must use a host name of this server, so that a foreign name that
// resolves to this machine reads nothing, and must not come from another origin.
type gate struct{ hosts loopback.Hosts }

func newGate(config *Config) gate {
	names := slices.Clone(config.AllowedHosts)
	if host, _, err := net.SplitHostPort(config.NetAddr.Endpoint); err == nil && host != "" {
		names = append(names, host)
	}
	return gate{loopback.NewHosts(names...)}
}

func (g gate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
		switch {
		case !g.hosts.Allow(r.Host):
			refuse(w, "host "+strconv.Quote(r.Host)+" is not allowed: add it to allowed_hosts")
		case site != "" && site != "same-origin" && site != "none", origin != "" && !strings.HasSuffix(origin, "://"+r.Host):
			refuse(w, "this request comes from another site")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func refuse(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": why}) // the client may be gone
}
