// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// british finds the spellings that creep in most often. The linter misspell looks at the Go files.
//
//nolint:misspell // these are what the test looks for
var british = regexp.MustCompile(`(?i)\b(\w*(recognis|organis|initialis|normalis|serialis|synchronis|summaris|minimis|optimis|authoris|customis|generalis)\w*` +
	`|(behaviou|neighbou|colou|honou|favou)r\w*|analys(e|ed|er|ing)|licences?|judgement|learnt|labell(ed|ing)|cancell(ed|ing)|for ever|towards|afterwards)\b`)

// TestAmericanSpelling keeps the pages in one English.
func TestAmericanSpelling(t *testing.T) {
	for _, p := range pages(t) {
		for i, line := range strings.Split(readFile(t, p.path), "\n") {
			for _, word := range british.FindAllString(line, -1) {
				assert.Failf(t, "British spelling", "%s:%d: %q", p.path, i+1, word)
			}
		}
	}
}
