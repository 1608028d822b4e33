// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// An outcome is something a user did, such as placing an order, by which an experiment is measured. Only names in the
// settings are outcomes, because such events count toward a customer's event volume. An outcome does not mention flags:
// Amplitude segments it by the properties that earlier exposures have set.

// outcomeFacts are what an outcome says.
type outcomeFacts struct {
	// name is the event name: of the record and, once it is read, of its event.
	name string
	// tracking: the record is a call to OpenFeature's track, which names the outcome in an attribute.
	tracking bool
	// id is the outcome's own, such as an order id; without one, content is the hash of everything in the record.
	id      string
	content xxh3.Uint128
	// amounts are those of amountFields whose bit is set in given.
	amounts  [len(amountFields)]float64
	given    uint8
	currency string
	// badAmounts is how many amounts in the record, including the currency, have impossible values.
	badAmounts int
}

// amountFields are the fields of an outcome that are numbers, and the attributes that they become.
var amountFields = [...]struct {
	field field
	name  string
	whole bool
}{
	{fieldRevenue, amplitude.AttrPrefix + "revenue", false},
	{fieldPrice, amplitude.AttrPrefix + "price", false},
	{fieldQuantity, amplitude.AttrPrefix + "quantity", true},
}

const attrCurrency = amplitude.AttrPrefix + "currency"

// outcome reads a record about what a user did.
func (p *parser) outcome(v *fieldValues, r *parsedRecord, record plog.LogRecord) decision {
	named := r.name
	if r.tracking {
		named = v.text(fieldTracked)
		switch {
		case named == "":
			return skipped(SkipNoOutcome)
		case !p.Mapper.names.isOutcome(named) || tooLong(named, amplitude.MaxStringLength):
			r.trace.unlistedOutcome(named)
			return skipped(SkipUnlistedOutcome)
		}
	}
	r.name = cmp.Or(p.set.Outcomes.Rename[named], named)
	r.trace.outcomeName(named, r.name, r.tracking)
	for i, one := range amountFields {
		switch {
		case v.found(one.field):
			r.amounts[i] = math.Float64frombits(uint64(v.answers[one.field].number))
			r.given |= 1 << i
		case v.misses(one.field):
			r.badAmounts++
		}
	}
	r.currency = v.text(fieldCurrency)
	if v.misses(fieldCurrency) {
		r.badAmounts++
	}
	if r.id = v.text(fieldOutcomeID); r.id == "" {
		r.content = contentOf(record)
	}
	return decision{outcome: OutcomeEvent}
}

// encodeOutcome encodes an outcome: its name, and its own id or the hash of its content. Subject: who did what.
func (e *Event) encodeOutcome(to encoder) (text encoder, subject int) {
	to = to.who(subjectOutcome, &e.Identity, nil)
	to = to.text(e.name)
	subject = len(to)
	if e.id != "" {
		to = append(to, outcomeHasID)
		return to.text(e.id), subject
	}
	to = append(to, outcomeHasContent)
	sum := e.content.Bytes()
	return append(to, sum[:]...), subject
}

// What follows in the encoding of an outcome.
const (
	outcomeHasContent = 0
	outcomeHasID      = 1
)

// outcome writes an outcome in place.
func (w *writer) outcome(e *Event, record plog.LogRecord, insertID string) (leftOut int) {
	attributes := record.Attributes()
	leftOut = e.badAmounts + w.keep(e, attributes, 0)
	writeEnvelope(record, e.name, e)
	out := sink{attributes: attributes}
	w.fields(e, insertID, out)
	for i, one := range amountFields {
		if e.given&(1<<i) != 0 {
			w.stash.putAmount(i, out.put(one.name))
		}
	}
	if e.currency != "" {
		w.stash.put(stashCurrency, e.currency, out.put(attrCurrency))
	}
	return leftOut
}

// maxAmountDigits is longer than any amount; longer text is not an amount.
const maxAmountDigits = 32

// number reads a finite number, or its text: some loggers write all attributes as text.
func number(value pcommon.Value) (amount float64, ok bool) {
	switch value.Type() {
	case pcommon.ValueTypeInt:
		amount = float64(value.Int())
	case pcommon.ValueTypeDouble:
		amount = value.Double()
	case pcommon.ValueTypeStr:
		text := strings.TrimSpace(value.Str())
		if len(text) > maxAmountDigits || strings.ContainsAny(text, "xXpP_iInN") { // no hexadecimal, no Inf, no NaN
			return 0, false
		}
		var err error
		if amount, err = strconv.ParseFloat(text, 64); err != nil {
			return 0, false
		}
	default:
		return 0, false
	}
	return amount, !math.IsNaN(amount) && !math.IsInf(amount, 0) && math.Abs(amount) < maxExactFloat
}

// currencyCode reads an ISO 4217 currency code: three letters, which Amplitude wants in upper case.
func currencyCode(value pcommon.Value) (code string, ok bool) {
	const letters = 3
	if value.Type() != pcommon.ValueTypeStr {
		return "", false
	}
	code = strings.TrimSpace(value.Str())
	if len(code) != letters {
		return "", false
	}
	for i := range len(code) {
		if lower := code[i] | ' '; lower < 'a' || lower > 'z' {
			return "", false
		}
	}
	return strings.ToUpper(code), true
}

func (t *Trace) unlistedOutcome(name string) {
	if t != nil {
		t.rule("outcome", "skipped", fmt.Sprintf("%q is not in outcomes.events", printable.Cut(name)))
	}
}

func (t *Trace) outcomeName(named, sent string, tracking bool) {
	switch {
	case t == nil:
	case named != sent:
		t.rule("outcome", printable.Text(sent), fmt.Sprintf("outcomes.rename has it for %q: the event counts toward event volume", printable.Cut(named)))
	case tracking:
		t.rule("outcome", printable.Text(sent), "the tracking call names it, and outcomes.events lists it: the event counts toward event volume")
	default:
		t.rule("outcome", printable.Text(sent), "outcomes.events lists it: the event counts toward event volume")
	}
}
