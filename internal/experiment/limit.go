// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"encoding/base64"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// limitValue makes a property value one that Amplitude takes, in place: text is cut at 1,024
// characters and made valid UTF-8, bytes become base64. It returns how many values inside had to go
// (not a number, infinite, or nested too deeply) and whether the value itself may stay. depth is the
// number of maps and lists around it, the event properties included.
func limitValue(value pcommon.Value, depth int) (removed int, ok bool) {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		text := value.Str()
		if limited := amplitude.Truncate(validText(text), amplitude.MaxStringLength); limited != text {
			value.SetStr(limited)
		}
	case pcommon.ValueTypeDouble:
		if number := value.Double(); math.IsNaN(number) || math.IsInf(number, 0) {
			return 1, false
		}
	case pcommon.ValueTypeBytes:
		value.SetStr(amplitude.Truncate(base64.StdEncoding.EncodeToString(value.Bytes().AsRaw()), amplitude.MaxStringLength))
	case pcommon.ValueTypeMap:
		if depth >= amplitude.MaxDepth {
			return 1, false
		}
		inner := value.Map()
		inner.RemoveIf(func(_ string, v pcommon.Value) bool {
			n, keep := limitValue(v, depth+1)
			removed += n
			return !keep
		})
		limitKeys(inner)
	case pcommon.ValueTypeSlice:
		if depth >= amplitude.MaxDepth {
			return 1, false
		}
		value.Slice().RemoveIf(func(v pcommon.Value) bool {
			n, keep := limitValue(v, depth+1)
			removed += n
			return !keep
		})
	}
	return removed, true
}

// limitKeys renames the keys of a map that are no valid UTF-8 or too long.
func limitKeys(m pcommon.Map) {
	var bad []string
	for key := range m.All() {
		if limitedKey(key) != key {
			bad = append(bad, key)
		}
	}
	for _, key := range bad {
		value, _ := m.Get(key)
		kept := pcommon.NewValueEmpty()
		value.MoveTo(kept)
		m.Remove(key)
		kept.MoveTo(m.PutEmpty(limitedKey(key)))
	}
}

func limitedKey(key string) string {
	return amplitude.Truncate(validText(key), amplitude.MaxStringLength)
}
