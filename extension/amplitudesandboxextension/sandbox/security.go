// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension/sandbox"

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// guard protects the page and the API under /_sandbox from other sites in the same browser: a request must name a
// host that is ours (so that a foreign name that resolves to this machine reads nothing) and must not come from
// another origin. The ingestion API stays open to every origin, as Amplitude's is.
func (s *Server) guard(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusForbidden, "this request comes from another site")
	}))
	protected := crossOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.hostAllowed(r.Host) {
			writeError(w, http.StatusForbidden, "host "+strconv.Quote(r.Host)+" is not allowed: add it to allowed_hosts")
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		protected.ServeHTTP(w, r)
	})
}

// hostAllowed tells whether a Host header is an IP address, localhost, or a name of ours. An address cannot be
// rebound: only names can.
func (s *Server) hostAllowed(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	return s.hosts[name]
}
