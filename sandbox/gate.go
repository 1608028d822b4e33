// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"cmp"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

// gate keeps out other sites in the same browser.
type gate struct {
	*store
	hosts   loopback.Hosts
	origins map[string]bool
}

func newGate(s *store) *gate {
	g := &gate{store: s, hosts: loopback.NewHosts(s.config.AllowedHosts...), origins: map[string]bool{}}
	for _, origin := range s.config.AllowedOrigins {
		g.origins[strings.ToLower(strings.TrimSuffix(origin, "/"))] = true
	}
	return g
}

// guard protects the page and the API under /_sandbox from other sites in the same browser: a request must use a host
// name of the sandbox (so that a foreign name that resolves to this machine reads nothing) and must not come from
// another origin.
func (g *gate) guard(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusForbidden, "this request comes from another site")
	}))
	protected := crossOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.hosts.Allow(r.Host) {
			writeError(w, http.StatusForbidden, "host "+strconv.Quote(r.Host)+" is not allowed: add it to allowed_hosts")
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		protected.ServeHTTP(w, r)
	})
}

// fromHere protects the ingestion API from other sites in the same browser, which could write without a preflight by
// using a form's content type: a page must be from this machine or from allowed_origins. Amplitude accepts every
// origin. Clients other than browsers do not send an origin, and may use any host name.
func (g *gate) fromHere(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if refusal := g.foreign(r); refusal != nil {
			g.refuseForeign(refusal)
			writeError(w, http.StatusForbidden, refusal.why)
			return
		}
		next(w, r)
	}
}

// foreign is a request that a page of another site made.
type foreign struct {
	from string // its origin, as sent by the browser
	why  string
}

// AnyOrigin in Config.AllowedOrigins allows pages from every site to send events.
const AnyOrigin = "*"

// foreign returns nil for a request that may write.
func (g *gate) foreign(r *http.Request) *foreign {
	origin, site := strings.ToLower(r.Header.Get("Origin")), r.Header.Get("Sec-Fetch-Site")
	browser := origin != "" || site != "" || r.Method != http.MethodPost // API clients only use POST
	if !browser || g.origins[AnyOrigin] {
		return nil
	}
	from := cmp.Or(origin, site, r.Host)
	if !g.hosts.Allow(r.Host) {
		return &foreign{from, "host " + strconv.Quote(r.Host) + " is not allowed: add it to allowed_hosts"}
	}
	if origin != "" && (g.origins[origin] || originHere(origin)) {
		return nil
	}
	sameSite := site == "" || site == "same-origin" || site == "none"
	if sameSite && (origin == "" || originHost(origin) == strings.ToLower(r.Host)) {
		return nil
	}
	return &foreign{from, "this request comes from a page of another site (" + from + "): add its origin to allowed_origins"}
}

// originHost returns the host of an origin, with its port, or "".
func originHost(origin string) string {
	parsed, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return parsed.Host
}

// originHere reports whether an origin is a server on this machine, such as an application in development. No other
// site can have such an origin: it is what the browser requested, not what a name resolves to.
func originHere(origin string) bool {
	parsed, err := url.Parse(origin)
	if err != nil {
		return false
	}
	name := parsed.Hostname()
	addr, err := netip.ParseAddr(name)
	return (err == nil && addr.IsLoopback()) || name == "localhost" || strings.HasSuffix(name, ".localhost")
}
