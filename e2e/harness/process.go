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

// Resident returns the process's resident memory in megabytes; 0 if the system does not report it.
func (c *Collector) Resident(t testing.TB) int {
	t.Helper()
	return c.status(t, "VmRSS:") >> 10
}

// Peak returns the most memory that the process ever had resident, in megabytes.
func (c *Collector) Peak(t testing.TB) int {
	t.Helper()
	return c.status(t, "VmHWM:") / 1024
}

// Threads returns the number of OS threads of the process; 0 if the system does not report it.
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

// Descriptors returns the number of open file descriptors of the process; 0 if the system does not report it.
func (c *Collector) Descriptors(t testing.TB) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.PID()))
	require.NoError(t, err)
	return len(open)
}
