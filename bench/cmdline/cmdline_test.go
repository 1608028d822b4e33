// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package cmdline_test

import (
	"flag"
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
	assert.Equal(t, cmdline.Options{Rounds: 3, Batches: 100, Users: 10_000_000, Parts: []string{cmdline.Exporter, cmdline.Growth}}, o)

	_, err = cmdline.Parse([]string{"-parts", "exporters"}, &out)
	require.ErrorContains(t, err, `there is no part "exporters": name processor, exporter, receiver, growth, collector`)
	assert.Empty(t, out.String())

	_, err = cmdline.Parse([]string{"-h"}, &out)
	require.ErrorIs(t, err, flag.ErrHelp)
	assert.Contains(t, out.String(), "-parts")
}
