// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzReadJournal feeds any bytes as what a storage kept: they are refused, or read whole.
func FuzzReadJournal(f *testing.F) {
	m := meta{epoch: 7, generation: 2, pages: 3, first: 4, scope: "0 day UTC"}
	f.Add(m.encode())
	block := newBlock(nil, m.epoch)
	for i := range 3 {
		img := image{entry: entry{id: id{hi: uint64(i), lo: 1}, result: 2, newest: testNow, bucket: 20_000, n: uint32(i), touched: seconds(testNow)}, flags: byte(i)}
		block = img.appendTo(block)
	}
	block = seal(block)
	f.Add(block)
	f.Add(block[:len(block)-1])
	f.Add(append([]byte{}, block[:headerSize]...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, err := readMeta(raw, m.scope); err == nil {
			require.Equal(t, raw, got.encode(), "what is read is what was written")
		}
		images, err := openBlock(raw, m.epoch)
		if err != nil {
			return
		}
		state, err := New(Settings{MaxEntries: 100})
		require.NoError(t, err)
		newLoader(state).load(images)
		require.LessOrEqual(t, state.Stats().Entries, int64(len(images)/imageSize))
	})
}
