// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package check // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/check"

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// Endpoint requires an address to listen on, host:port with a numeric port, and returns its host.
func Endpoint(key, address string) (host string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%s must be host:port (got %q)", key, address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return host, fmt.Errorf("%s must end in a port from 0 to 65535 (got %q)", key, address)
	}
	return host, nil
}

// Listening says which address a component cannot listen on, and what to do about it. what is the first part of the
// sentence, such as "the receiver cannot listen"; id is that of the component.
func Listening(err error, what, address string, id fmt.Stringer) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s on %s, which is in use: stop the other process or set another endpoint for %s", what, address, id)
	}
	return fmt.Errorf("%s on %s: set another endpoint for %s: %w", what, address, id, err)
}
