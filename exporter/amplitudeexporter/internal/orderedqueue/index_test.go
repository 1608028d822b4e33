// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/storagetest"
)

var testID = component.MustNewIDWithName("amplitude", "test")

// TestUnknownIndexIsLeftAlone replaces the index with unexpected content.
func TestUnknownIndexIsLeftAlone(t *testing.T) {
	const list = byte(fieldUnfinished<<3) | byte(protowire.BytesType)
	fixed := func(field protowire.Number, value uint64) []byte {
		return protowire.AppendFixed64(protowire.AppendTag(nil, field, protowire.Fixed64Type), value)
	}
	for name, raw := range map[string][]byte{
		"text":                       []byte("no index"),
		"further field":              slices.Concat(fixed(fieldRead, 2), fixed(6, 1)),
		"cut short":                  fixed(fieldRead, 2)[:5],
		"truncated list":             {list, 16, 1, 2, 3},
		"list of half numbers":       {list, 3, 1, 2, 3},
		"endless length":             {list, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"nothing unfinished":         slices.Concat(fixed(fieldRead, 2), fixed(fieldWrite, 5)),
		"unfinished after the next":  slices.Concat(fixed(fieldRead, 2), fixed(fieldWrite, 5), fixed(fieldUnfinished, 3)),
		"read after write":           slices.Concat(fixed(fieldRead, 7), fixed(fieldWrite, 5), fixed(fieldUnfinished, 3)),
		"an impossible gap":          slices.Concat(fixed(fieldRead, math.MaxUint64-1), fixed(fieldWrite, math.MaxUint64), fixed(fieldUnfinished, 0)),
		"empty":                      {},
		"one list and one by itself": slices.Concat([]byte{list, 8, 9, 0, 0, 0, 0, 0, 0, 0}, fixed(fieldUnfinished, 3)),
	} {
		t.Run(name, func(t *testing.T) {
			files, closeFiles := storagetest.File(t, t.TempDir())
			defer closeFiles()
			storagetest.Use(t, files, testID, ClientName, func(c storage.Client) {
				require.NoError(t, c.Set(t.Context(), indexKey, raw))
			})
			keepOrder(t.Context(), storagetest.Host{Storage: files}, storagetest.ID, testID, zap.NewNop())
			storagetest.Use(t, files, testID, ClientName, func(c storage.Client) {
				kept, err := c.Get(t.Context(), indexKey)
				require.NoError(t, err)
				assert.Equal(t, raw, kept)
			})
		})
	}
}

// FuzzIndex: with any index on disk, reading never starts later than it would without this package.
func FuzzIndex(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x19, 3, 0, 0, 0, 0, 0, 0, 0, 0x21, 9, 0, 0, 0, 0, 0, 0, 0, 0x2a, 8, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x19, 3, 0, 0, 0, 0, 0, 0, 0, 0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		before, ok := parseIndex(raw)
		if !ok {
			return
		}
		changed := before
		rewound := changed.rewind()
		if rewound == nil {
			return
		}
		after, ok := parseIndex(rewound)
		require.True(t, ok)
		require.Empty(t, after.unfinished)
		require.Less(t, after.fields[fieldRead], before.fields[fieldRead])
		require.Equal(t, before.fields[fieldWrite], after.fields[fieldWrite])
		for _, index := range before.unfinished {
			require.LessOrEqual(t, after.fields[fieldRead], index, "nothing unfinished is skipped")
		}
	})
}
