// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWarningsLinkToTheirAnchors compares the anchors that the code names with those of the page.
func TestWarningsLinkToTheirAnchors(t *testing.T) {
	anchors := func(path, pattern string) (found []string) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			found = append(found, match[1])
		}
		return found
	}
	inCode := anchors("warnings.go", `add\("[^"]+", "([^"]+)"`)
	assert.NotEmpty(t, inCode)
	assert.ElementsMatch(t, inCode, anchors("../../docs/delivery.md", `<a id="([^"]+)"></a>`))
}
