// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package loopback_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

func TestFreeAddress(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		address, err := loopback.FreeAddress()
		require.NoError(t, err)
		assert.False(t, seen[address], "%s twice", address)
		seen[address] = true
		tcp, err := net.ResolveTCPAddr("tcp", address)
		require.NoError(t, err)
		assert.Less(t, tcp.Port, 32_768, "a client may be given it")
		_, err = net.ListenPacket("udp", address)
		require.Error(t, err, "another process would not notice that it was handed out")
	}
	for address := range seen {
		listener, err := net.Listen("tcp", address)
		require.NoError(t, err)
		require.NoError(t, listener.Close())
	}
}
