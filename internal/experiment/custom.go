// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"fmt"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// An integration of Amplitude's JavaScript client sends the exposure of a flag under the event name in the flag's
// metadata (exposureEvent), and that of a web experiment as an impression (deliveryMethod). Other providers receive
// them as exposures. This file does the same, where the settings ask for it.

// webDelivery is the delivery method of web experiments.
const webDelivery = "web"

// chooseEvent decides which event an explicit exposure becomes.
func (p *parser) chooseEvent(r *parsedRecord, m *flagMetadata) {
	switch {
	case r.kind != kindExposure:
	case m.exposureEvent != "":
		taken := p.isCustom(m.exposureEvent)
		if taken {
			r.customEvent = m.exposureEvent
		}
		r.trace.customEvent(m.exposureEvent, taken)
	case m.deliveryMethod == webDelivery:
		if p.set.Impression.Enabled {
			r.kind = kindImpression
		}
		r.trace.delivered(p.set.Impression.Enabled)
	}
}

// isCustom reports whether metadata may give an event this name: one that is allowed, and not one of Amplitude's own.
func (m *Mapper) isCustom(name string) bool {
	return len(m.customEvents) > 0 && m.customEvents.Match(name) && !tooLong(name, amplitude.MaxStringLength) &&
		!strings.HasPrefix(name, "$") && !strings.HasPrefix(name, "[")
}

func (t *Trace) customEvent(name string, taken bool) {
	switch {
	case t == nil:
	case taken:
		t.rule("exposure_event", printable.Text(name), "it is in exposure.custom_events: the event has this name, and counts toward event volume")
	default:
		t.rule("exposure_event", "not taken", fmt.Sprintf("%q is not in exposure.custom_events, or begins as Amplitude's own names do", printable.Cut(name)))
	}
}

func (t *Trace) delivered(impression bool) {
	if impression {
		t.rule("delivery_method", "impression", "it is web, and impression.enabled is true")
	} else {
		t.rule("delivery_method", "exposure", "it is web, but impression.enabled is false")
	}
}
