// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"runtime"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

// part is one event that a record becomes: the whole record, or some flags of a large assignment.
type part struct {
	flags   span
	event   xxh3.Uint128
	idStart int32
	idEnd   int32
}

// plan is a record of ours: which of the batch it is, and what is to become of it.
type plan struct {
	facts
	position int
}

// scratch is the working memory of one batch. It is pooled, so that a batch allocates nothing but
// what its events keep.
type scratch struct {
	reader      reader
	groupReader groupReader
	clients     clientCache
	counts      counts
	reasons     reasonMemo
	names       knownNames

	plans  []plan
	flags  []flagResult
	groups []group
	parts  []part

	// One of each per part.
	records  []dedup.Record
	verdicts []dedup.Verdict

	encoder encoder
	ids     []byte

	// unset and propertied belong to the shaped event in hand.
	unset      []string
	propertied []string

	// held keeps values while their record is rewritten; nothing is an empty one.
	held    [numHeld]pcommon.Value
	isHeld  [numHeld]bool
	nothing pcommon.Value
	kept    map[string]struct{}
	builder xpdata.MapBuilder
	// extra holds events beyond the first of a record, until its scope is done.
	extra []plog.LogRecord
}

// scratchPool keeps one scratch for each CPU between batches.
type scratchPool struct {
	in   *interpreter
	idle freelist.List[*scratch]
}

func newScratchPool(in *interpreter) *scratchPool {
	return &scratchPool{in: in, idle: freelist.New[*scratch](runtime.GOMAXPROCS(0))}
}

func (p *scratchPool) get() *scratch {
	if s, ok := p.idle.Get(); ok {
		return s
	}
	s := &scratch{nothing: pcommon.NewValueEmpty(), kept: map[string]struct{}{}, names: knownNames{}}
	s.reader = reader{minIDLength: p.in.cfg.Identity.MinIDLength, tables: p.in.tables, counts: &s.counts}
	s.groupReader = groupReader{types: p.in.groupTypes}
	for i := range s.held {
		s.held[i] = pcommon.NewValueEmpty()
	}
	return s
}

func (p *scratchPool) put(s *scratch) {
	s.reset()
	p.idle.Put(s)
}

// What a scratch may keep between batches: one huge batch must not hold memory forever.
const (
	maxPooled      = 1 << 14 // elements of a list
	maxPooledBytes = 1 << 21 // bytes of text
)

// reset forgets a batch, and with it every reference to its data.
func (s *scratch) reset() {
	s.plans = reuse(s.plans)
	s.flags = reuse(s.flags)
	s.groups = reuse(s.groups)
	s.parts = reuse(s.parts)
	s.records = reuse(s.records)
	s.verdicts = reuse(s.verdicts)
	s.ids = reuseText(s.ids)
	s.unset = reuse(s.unset)
	s.propertied = reuse(s.propertied)
	s.extra = reuse(s.extra)
	s.encoder = reuseText(s.encoder)
	for i := range s.held {
		s.nothing.MoveTo(s.held[i])
	}
	s.counts.reset()
	s.clients = clientCache{}
	s.reader.forget()
}

// extend adds an empty element to a list that reuse has cleared.
func extend[T any](list []T) []T {
	if len(list) < cap(list) {
		return list[:len(list)+1]
	}
	var empty T
	return append(list, empty)
}

func reuse[T any](list []T) []T {
	if cap(list) > maxPooled {
		return nil
	}
	clear(list)
	return list[:0]
}

func reuseText[T ~[]byte](text T) T {
	if cap(text) > maxPooledBytes {
		return nil
	}
	return text[:0]
}

func (r *reader) forget() {
	r.resource, r.scope = pcommon.Map{}, pcommon.Map{}
	r.record.forget()
	for i := range r.readUpTo {
		r.readUpTo[i] = levelNone
		r.ofResource[i].forget()
		r.ofScope[i].forget()
	}
}

func (g *gathered) forget() {
	g.answered = 0
	clear(g.slots[:])
	g.flat = reuse(g.flat[:cap(g.flat)])
}
