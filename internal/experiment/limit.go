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

// limitValue makes a property value acceptable to Amplitude, in place: text is cut at 1,024 characters and made valid
// UTF-8, bytes become base64. It returns how many values inside were removed (not a number, infinite, nested too
// deeply, or too many in a map) and whether the value itself may stay. depth is the number of maps and lists around it,
// including the event properties.
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

// limitMap reduces a map to what an event may hold: at most as many keys as an event has properties, each valid UTF-8
// and not too long. If keys become equal, the first one wins. It returns how many were removed.
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

// limitKeys makes the keys of a map valid UTF-8 and short enough, and returns how many values were removed for that.
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
