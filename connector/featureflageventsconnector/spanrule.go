// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector // import "github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// spanRule recognizes spans, or span events, that are evaluations with other names than the conventions.
type spanRule struct {
	names         pattern.List
	eventName     string
	renames       map[string]string
	starAttribute string
	skipIfTrue    []string
}

func newSpanRule(cfg *SpanConfig) spanRule {
	return spanRule{
		names:         pattern.NewList(cfg.Names),
		eventName:     cfg.EventName,
		renames:       cfg.Attributes,
		starAttribute: cfg.StarAttribute,
		skipIfTrue:    cfg.SkipIfTrue,
	}
}

func newSpanEventRule(cfg *SpanEventConfig) spanRule {
	return spanRule{names: pattern.NewList(cfg.Names), eventName: cfg.EventName, renames: cfg.Attributes, skipIfTrue: cfg.SkipIfTrue}
}

func (r *spanRule) matches(name string) bool {
	return r.names.Match(name)
}

// star returns what the star in the name of a span matched.
func (r *spanRule) star(name string) string {
	for i := range r.names {
		if text, ok := r.names[i].Capture(name); ok {
			return text
		}
	}
	return ""
}

// skips reports whether an attribute says that the span is not an evaluation.
func (r *spanRule) skips(attributes pcommon.Map) bool {
	for _, name := range r.skipIfTrue {
		if value, ok := attributes.Get(name); ok && value.Type() == pcommon.ValueTypeBool && value.Bool() {
			return true
		}
	}
	return false
}

// copyAttributes copies the attributes of the span or span event with a name. First those that keep their names,
// because they take precedence over renamed ones.
func (r *spanRule) copyAttributes(name string, from, to pcommon.Map) {
	var kept xpdata.MapBuilder
	kept.EnsureCapacity(from.Len() + 1)
	steps.Add(from.Len())
	var renamed []sharedAttribute // the first with a value for each name; no two names are renamed to the same
	done := map[string]bool{}
	for attribute, value := range from.All() {
		switch to, ok := r.renames[attribute]; {
		case !ok:
			value.CopyTo(kept.AppendEmpty(attribute))
		case !done[attribute]:
			done[attribute] = value.Type() != pcommon.ValueTypeEmpty
			if done[attribute] {
				renamed = append(renamed, sharedAttribute{to, value})
			}
		}
	}
	kept.UnsafeIntoMap(to)
	for _, one := range renamed {
		putIfAbsent(to, one.name, one.value)
	}
	if r.starAttribute == "" {
		return
	}
	if text := r.star(name); text != "" {
		putIfAbsent(to, r.starAttribute, pcommon.NewValueStr(text))
	}
}
