// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector // import "github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// star stands for any text in the name of a span.
const star = "*"

// namePattern is a span name; if open, any text may stand between prefix and suffix.
type namePattern struct {
	prefix, suffix string
	open           bool
}

// match tells whether name fits, and what the star stands for.
func (p *namePattern) match(name string) (starText string, ok bool) {
	if !p.open {
		return "", name == p.prefix
	}
	if len(name) < len(p.prefix)+len(p.suffix) || !strings.HasPrefix(name, p.prefix) || !strings.HasSuffix(name, p.suffix) {
		return "", false
	}
	return name[len(p.prefix) : len(name)-len(p.suffix)], true
}

// spanRule recognises spans that are evaluations themselves.
type spanRule struct {
	names         []namePattern
	eventName     string
	renames       map[string]string
	starAttribute string
	skipIfTrue    []string
}

func newSpanRule(cfg *SpanConfig) spanRule {
	rule := spanRule{
		eventName:     cfg.EventName,
		renames:       cfg.Attributes,
		starAttribute: cfg.StarAttribute,
		skipIfTrue:    cfg.SkipIfTrue,
	}
	for _, name := range cfg.Names {
		prefix, suffix, open := strings.Cut(name, star)
		rule.names = append(rule.names, namePattern{prefix: prefix, suffix: suffix, open: open})
	}
	return rule
}

func (r *spanRule) matches(name string) bool {
	_, ok := r.star(name)
	return ok
}

func (r *spanRule) star(name string) (string, bool) {
	for i := range r.names {
		if text, ok := r.names[i].match(name); ok {
			return text, true
		}
	}
	return "", false
}

// skips tells whether an attribute says that the span is no evaluation.
func (r *spanRule) skips(attributes pcommon.Map) bool {
	for _, name := range r.skipIfTrue {
		if value, ok := attributes.Get(name); ok && value.Type() == pcommon.ValueTypeBool && value.Bool() {
			return true
		}
	}
	return false
}

// copyAttributes copies the attributes of the span. First those that keep their names: what already
// has the right name goes before what is renamed to it.
func (r *spanRule) copyAttributes(span ptrace.Span, to pcommon.Map) {
	from := span.Attributes()
	to.EnsureCapacity(from.Len() + 1)
	for name, value := range from.All() {
		if _, renamed := r.renames[name]; !renamed {
			value.CopyTo(to.PutEmpty(name))
		}
	}
	for name, value := range from.All() {
		if renamed, ok := r.renames[name]; ok {
			putIfAbsent(to, renamed, value)
		}
	}
	if r.starAttribute == "" {
		return
	}
	if text, _ := r.star(span.Name()); text != "" {
		putIfAbsent(to, r.starAttribute, pcommon.NewValueStr(text))
	}
}
