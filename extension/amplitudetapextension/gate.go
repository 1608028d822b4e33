// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudetapextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension"

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// gate keeps pages of other sites out: a request must name a host that is ours, so that a foreign name that resolves to
// this machine reads nothing, and must not come from another origin.
type gate map[string]bool

func newGate(config *Config) gate {
	g := gate{"localhost": true}
	for _, host := range config.AllowedHosts {
		g[strings.ToLower(host)] = true
	}
	if host, _, err := net.SplitHostPort(config.NetAddr.Endpoint); err == nil && host != "" {
		g[strings.ToLower(host)] = true
	}
	return g
}

func (g gate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
		switch {
		case !g.allows(r.Host):
			refuse(w, "host "+strconv.Quote(r.Host)+" is not allowed: add it to allowed_hosts")
		case site != "" && site != "same-origin" && site != "none", origin != "" && !strings.HasSuffix(origin, "://"+r.Host):
			refuse(w, "this request comes from another site")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// allows tells whether a Host header is an address, which cannot be rebound, or a name that is known.
func (g gate) allows(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if _, err := netip.ParseAddr(name); err == nil || strings.HasSuffix(name, ".localhost") {
		return true
	}
	return g[name]
}

func refuse(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": why}) // a reader that is gone gets nothing
}
