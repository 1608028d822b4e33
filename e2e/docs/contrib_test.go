// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build docs

package docs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// contrib is the Collector with components of the Collector's contributors.
const contrib = "otelcol-docs"

func TestConfigurationsOfContributors(t *testing.T) {
	eachBlock(t, "validate", func(t *testing.T, p *page, i int, argument string) {
		if argument == "contrib" {
			validate(t, harness.Binary(t, contrib), p.blocks[i].text)
		}
	})
}

// TestRecordsThroughContributors sends each record through the configuration that stands before it on its page.
func TestRecordsThroughContributors(t *testing.T) {
	eachBlock(t, "record", func(t *testing.T, p *page, i int, argument string) {
		if argument != "contrib" {
			return
		}
		config := i - 1
		for config >= 0 && p.blocks[config].marker != "validate contrib" {
			config--
		}
		require.GreaterOrEqual(t, config, 0, "no configuration stands before the record")
		var files []string
		for i, argument := range configArguments(t, p.blocks[config].text) {
			if i%2 == 1 {
				files = append(files, argument)
			}
		}
		arrivesAsShown(t, startExample(t, harness.Options{Program: contrib, Env: []string{"ID_SALT=salt"}}, files...), p, i)
	})
}
