// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"errors"
	"os"
	"syscall"
)

// syncDirectory flushes the entries of a directory to disk.
func syncDirectory(path string) error {
	d, err := os.Open(path) //nolint:gosec // the configuration names it
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// hasNoName reports whether a file was deleted while it was open.
func hasNoName(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}
