// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package powercut cuts the power of a disk under the built Collector: everything that was not synced is gone. The disk
// is a file with an ext4 file system that is told to shut down immediately, without writing its journal, so the tests
// need Linux, root and loop devices: make powercut, tag powercut.
package powercut // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/powercut"
