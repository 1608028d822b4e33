// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// addresses determines where requests come from.
type addresses struct {
	forward bool
	trusted []netip.Prefix
}

func newAddresses(config *Config) (*addresses, error) {
	trusted, err := config.trusted()
	return &addresses{config.ClientIP == clientIPForward, trusted}, err
}

// of returns the address of the client that sent a request, or "" if it must not be forwarded or is unknown: the last
// address that is not a trusted proxy's, reading backward from the connected one.
func (a *addresses) of(r *http.Request) string {
	if !a.forward {
		return ""
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "" // a Unix socket
	}
	client := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !a.isTrusted(client) {
			break
		}
		address, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			break
		}
		client = address
	}
	return client.WithZone("").String()
}

func (a *addresses) isTrusted(address netip.Addr) bool {
	return slices.ContainsFunc(a.trusted, func(network netip.Prefix) bool { return network.Contains(address) })
}

// parseHop parses an address with or without a port.
func parseHop(hop string) (netip.Addr, bool) {
	if address, err := netip.ParseAddr(strings.Trim(hop, "[]")); err == nil {
		return address.Unmap(), true
	}
	if address, err := netip.ParseAddrPort(hop); err == nil {
		return address.Addr().Unmap(), true
	}
	return netip.Addr{}, false
}
