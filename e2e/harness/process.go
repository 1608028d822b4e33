// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package harness // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Resident returns the process's resident memory in megabytes; 0 where the system does not tell.
func (c *Collector) Resident(t testing.TB) int {
	t.Helper()
	return c.status(t, "VmRSS:") >> 10
}

// Peak returns the most memory that the process ever had resident, in megabytes.
func (c *Collector) Peak(t testing.TB) int {
	t.Helper()
	return c.status(t, "VmHWM:") / 1024
}

// Threads returns how many threads of the system the process has; 0 where the system does not tell.
func (c *Collector) Threads(t testing.TB) int {
	t.Helper()
	return c.status(t, "Threads:")
}

// status reads a number of /proc/PID/status.
func (c *Collector) status(t testing.TB, name string) (number int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.PID()))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			_, err := fmt.Sscan(rest, &number)
			require.NoError(t, err)
		}
	}
	return number
}

// Descriptors returns how many file descriptors the process has open; 0 where the system does not tell.
func (c *Collector) Descriptors(t testing.TB) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.PID()))
	require.NoError(t, err)
	return len(open)
}
