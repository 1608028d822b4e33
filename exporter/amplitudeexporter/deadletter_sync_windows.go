// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import "os"

// syncDirectory does nothing: Windows cannot sync a directory and writes its entries through.
func syncDirectory(string) error { return nil }

// hasNoName: Windows does not delete open files.
func hasNoName(os.FileInfo) bool { return false }
