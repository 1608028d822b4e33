// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package loopback recognizes addresses of this machine, and finds free ones for servers that run as separate
// processes.
package loopback // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Below the ephemeral ports (from 32768 on Linux, from 49152 elsewhere): an ephemeral port may be given to a connection
// before the server listens on it.
const (
	firstPort = 12_000
	lastPort  = 31_999
	tries     = 100
)

// given holds a UDP socket on each port that was handed out, so that other processes looking for a free one notice.
var given sync.Map

// IsHost reports whether a host, a name or an address without a port, is this machine.
func IsHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// FreeAddress returns a host:port of the loopback interface that nothing listens on, and that no other process using
// this package gets while this process runs. It fails after trying a hundred ports.
func FreeAddress() (string, error) {
	var last error
	for range tries {
		port := firstPort + rand.IntN(lastPort-firstPort+1) //nolint:gosec // not security-sensitive
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if last = reserve(port, address); last == nil {
			return address, nil
		}
	}
	return "", errors.Join(errors.New("no free port on the loopback interface"), last)
}

// reserve takes a port for this process: with UDP as long as the process runs, and briefly with TCP.
func reserve(port int, address string) error {
	ctx := context.Background()
	mark, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", address)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err == nil {
		err = listener.Close()
	}
	if err != nil {
		return errors.Join(err, mark.Close())
	}
	given.Store(port, mark)
	return nil
}
