// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
)

// markers are the forms that doc.go lists.
var markers = regexp.MustCompile(`^(validate|file \S+|manifest( \S+)?|part of \S+|from \S+|record( configured)?|event( of [a-z-]+)?|base|hook (java|python)|install|start \d+|run|output|skip because \S.*)$`)

// TestEveryBlockSaysHowItIsTested, so that no block is forgotten.
func TestEveryBlockSaysHowItIsTested(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			switch {
			case b.marker != "":
				assert.Regexp(t, markers, b.marker, b.at)
			case isTested(b.language):
				assert.Fail(t, "a block that nothing tests", "%s: put a comment <!-- test: ... --> before it, see e2e/docs/doc.go", b.at)
			}
		}
		for _, one := range p.tables {
			assert.Contains(t, []string{"truth", "sequence"}, one.marker, one.at)
		}
	}
}
