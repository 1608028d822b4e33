// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"encoding/base64"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// limitValue makes a property value one that Amplitude takes, in place: text is cut at 1,024
// characters and made valid UTF-8, bytes become base64. It returns how many values inside had to go
// (not a number, infinite, nested too deeply, or too many in a map) and whether the value itself may stay. depth is the
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
		value.SetStr(base64Text(value.Bytes()))
	case pcommon.ValueTypeMap:
		if depth >= amplitude.MaxDepth {
			return 1, false
		}
		removed = limitMap(value.Map(), depth+1)
	case pcommon.ValueTypeSlice:
		if depth >= amplitude.MaxDepth {
			return 1, false
		}
		steps.Add(value.Slice().Len())
		value.Slice().RemoveIf(func(v pcommon.Value) bool {
			n, keep := limitValue(v, depth+1)
			removed += n
			return !keep
		})
	}
	return removed, true
}

// limitMap keeps of a map what an event may hold of it: at most as many keys as an event has properties, each valid UTF-8
// and not too long. Of keys that are the same then, the first counts. It returns how many did not stay.
func limitMap(m pcommon.Map, depth int) (removed int) {
	steps.Add(m.Len())
	left, bad := amplitude.MaxPropertyKeys, false
	m.RemoveIf(func(key string, v pcommon.Value) bool {
		if left == 0 {
			removed++
			return true
		}
		n, keep := limitValue(v, depth)
		if removed += n; keep {
			left--
			bad = bad || limitedKey(key) != key
		}
		return !keep
	})
	if bad {
		removed += limitKeys(m)
	}
	return removed
}

// limitKeys gives a map keys that are valid UTF-8 and not too long, and returns how many values had to go for it.
func limitKeys(m pcommon.Map) (removed int) {
	var renamed xpdata.MapBuilder
	renamed.EnsureCapacity(m.Len())
	steps.Add(m.Len())
	seen := make(map[string]struct{}, m.Len())
	for key, value := range m.All() {
		key = limitedKey(key)
		if _, twice := seen[key]; twice {
			removed++
			continue
		}
		seen[key] = struct{}{}
		value.MoveTo(renamed.AppendEmpty(key))
	}
	renamed.UnsafeIntoMap(m)
	return removed
}

func limitedKey(key string) string {
	return amplitude.Truncate(validText(key), amplitude.MaxStringLength)
}

// base64Text is the text of bytes, cut as text is.
func base64Text(bytes pcommon.ByteSlice) string {
	raw := bytes.AsRaw()
	return base64.StdEncoding.EncodeToString(raw[:min(len(raw), amplitude.MaxStringLength/4*3)])
}
