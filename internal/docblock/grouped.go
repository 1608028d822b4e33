// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package docblock // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"

import (
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Grouped rounds to a whole number and groups its digits: 75,857.
func Grouped[Number int | int64 | float64](x Number) string {
	return message.NewPrinter(language.AmericanEnglish).Sprintf("%.0f", float64(x))
}
