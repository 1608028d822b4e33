// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package loopback // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"

import (
	"net"
	"net/netip"
	"strings"
)

// Hosts are the host names that requests to a local server may use. Others are refused, because a page of another site
// could use a foreign name that resolves to this machine.
type Hosts map[string]struct{}

// NewHosts allows these names, ignoring case, in addition to those of this machine.
func NewHosts(names ...string) Hosts {
	h := Hosts{"localhost": {}}
	for _, name := range names {
		h[strings.ToLower(name)] = struct{}{}
	}
	return h
}

// Allow reports whether a Host header is allowed: an IP address, which cannot be rebound, or one of the names.
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
