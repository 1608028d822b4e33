// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"bytes"
	"encoding/json"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// mask replaces each id in an event that is shown.
const mask = "***"

// showEvent logs the first event of a dry run's batch at debug level.
func (x *amplitudeExporter) showEvent(b *batch) {
	if len(b.events) == 0 {
		return
	}
	if entry := x.set.Logger.Check(zapcore.DebugLevel, "Dry run: an event that would have been sent"); entry != nil {
		entry.Write(zap.String("event", maskIDs(b.events[0].json)))
	}
}

// maskIDs returns an event with its user, device and insert id masked, including copies in other values.
func maskIDs(event []byte) string {
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(event))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		return err.Error()
	}
	var pairs []string
	for _, field := range [...]string{amplitude.FieldInsertID, amplitude.FieldUserID, amplitude.FieldDeviceID} {
		if id, _ := members[field].(string); id != "" {
			pairs = append(pairs, id, mask)
		}
	}
	masked, err := json.Marshal(maskText(members, strings.NewReplacer(pairs...)))
	if err != nil {
		return err.Error()
	}
	return string(masked)
}

// maskText masks the strings in a decoded value, and numbers that are ids.
func maskText(value any, masks *strings.Replacer) any {
	switch v := value.(type) {
	case string:
		return masks.Replace(v)
	case json.Number:
		if masks.Replace(v.String()) == mask {
			return mask
		}
	case map[string]any:
		masked := make(map[string]any, len(v))
		for name, inner := range v {
			masked[masks.Replace(name)] = maskText(inner, masks)
		}
		return masked
	case []any:
		for i := range v {
			v[i] = maskText(v[i], masks)
		}
	}
	return value
}
