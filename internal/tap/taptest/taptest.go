// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package taptest reads the decisions that a tap client receives, for tests.
package taptest // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap/taptest"

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
)

// maxLine bounds one message of a stream, in bytes.
const maxLine = 1 << 24

// Stream is the body of a response of [tap.Handler].
type Stream struct{ lines *bufio.Scanner }

// NewStream reads a response body.
func NewStream(body io.Reader) *Stream {
	s := &Stream{bufio.NewScanner(body)}
	s.lines.Buffer(nil, maxLine)
	return s
}

// Until reads until done returns true for the decisions read by this call, or the stream ends. It returns the latest
// version of each, in the order in which they came first.
func (s *Stream) Until(t testing.TB, done func([]tap.Shown) bool) (all []tap.Shown) {
	t.Helper()
	places, event := map[uint64]int{}, ""
	for !done(all) && s.lines.Scan() {
		if name, isName := strings.CutPrefix(s.lines.Text(), "event: "); isName {
			event = name
		}
		data, isData := strings.CutPrefix(s.lines.Text(), "data: ")
		if !isData || event != "records" {
			continue
		}
		var batch struct{ Records []tap.Shown }
		require.NoError(t, json.Unmarshal([]byte(data), &batch), data)
		for _, one := range batch.Records {
			if at, known := places[one.Seq]; known {
				all[at] = one
				continue
			}
			places[one.Seq] = len(all)
			all = append(all, one)
		}
	}
	require.NoError(t, s.lines.Err())
	return all
}

// AtLeast is done after n decisions.
func AtLeast(n int) func([]tap.Shown) bool {
	return func(all []tap.Shown) bool { return len(all) >= n }
}
