// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package loopback // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"

import (
	"net"
	"net/netip"
	"strings"
)

// Hosts are the names that a request may call a server by which only this machine's user is to reach: a foreign name that resolves to
// this machine is what a page of another site would use.
type Hosts map[string]struct{}

// NewHosts allows these names, in lower or upper case, beside those of this machine.
func NewHosts(names ...string) Hosts {
	h := Hosts{"localhost": {}}
	for _, name := range names {
		h[strings.ToLower(name)] = struct{}{}
	}
	return h
}

// Allow tells whether a Host header is an address, which cannot be rebound, or a name that is known.
func (h Hosts) Allow(header string) bool {
	name := header
	if host, _, err := net.SplitHostPort(header); err == nil {
		name = host
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if _, err := netip.ParseAddr(name); err == nil || strings.HasSuffix(name, ".localhost") {
		return true
	}
	_, known := h[name]
	return known
}
