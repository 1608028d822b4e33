// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !darwin

package doctor // import "github.com/otelcol-amplitude/otelcol-amplitude/cmd/otelcol-amplitude-explain/internal/doctor"

const hasPermissions = false

func freeSpace(string) (free uint64, known bool) { return 0, false }
