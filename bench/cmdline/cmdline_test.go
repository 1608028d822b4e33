// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package cmdline_test

import (
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
)

func TestParse(t *testing.T) {
	var out strings.Builder
	o, err := cmdline.Parse([]string{"-rounds", "3", "-parts", "exporter,growth"}, &out)
	require.NoError(t, err)
	assert.Equal(t, cmdline.Options{
		Rounds: 3, Batches: 100, Persons: 10_000_000, Events: 1_000_000, Parts: []string{cmdline.Exporter, cmdline.Growth},
	}, o)

	for wrong, says := range map[string]string{
		"-parts exporters":        `there is no part "exporters": name processor, exporter, receiver, collector, garbage, starts, growth, persons, queue, sandbox`,
		"-rounds 0":               "at least 1",
		"-batches many":           "invalid value",
		"-rounds 20 -batches 200": "4200000 records would no longer all be new, at most 1000000 are",
	} {
		_, err = cmdline.Parse(strings.Fields(wrong), io.Discard)
		require.ErrorContains(t, err, says, wrong)
	}
	assert.Empty(t, out.String())

	_, err = cmdline.Parse([]string{"-h"}, &out)
	require.ErrorIs(t, err, flag.ErrHelp)
	assert.Contains(t, out.String(), "-parts")
	for _, name := range cmdline.Names() {
		assert.Contains(t, out.String(), "\n  "+name+" ")
	}
}
