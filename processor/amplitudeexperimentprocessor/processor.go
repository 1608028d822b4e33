// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
)

var _ processor.Logs = (*experimentProcessor)(nil)

// experimentProcessor is one instance in one pipeline.
type experimentProcessor struct {
	*instance
	factory *factory
	next    consumer.Logs
	once    sync.Once
}

// Capabilities reports that records are modified in place.
func (*experimentProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start loads the remembered state, if it is kept anywhere.
func (p *experimentProcessor) Start(ctx context.Context, host component.Host) error {
	return p.factory.start(ctx, host, p.instance)
}

// Shutdown writes the remembered state. It may be called without Start, and twice.
func (p *experimentProcessor) Shutdown(ctx context.Context) (err error) {
	p.once.Do(func() { err = p.factory.release(ctx, p.instance) })
	return err
}

// ConsumeLogs turns records about flags into events, drops repeats, and hands the batch on. It returns the answer of
// the next component unchanged, and remembers results as sent only if that accepted them.
func (p *experimentProcessor) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	begin := p.now()
	batch := p.mapper.Batch()
	defer batch.End()

	recorder := explain.FromContext(ctx)
	incoming, err := batch.Read(ctx, ld, begin, recorder)
	if err != nil {
		p.telemetry.refused(ctx, ld.LogRecordCount())
		return err // nobody waits for the answer: the sender hung up or timed out
	}
	watched := tap.NewBatch(p.name, begin) // nil unless a tap client is watching
	reservation := p.memory.reserve(ctx, batch.Events(), recorder, watched != nil)
	accepted := false
	defer func() {
		// Runs after a panic, too.
		if !accepted {
			batch.Refused()
			reservation.release()
			watched.Refused(err)
		}
	}()
	if watched != nil {
		batch.Explain(ld, begin, watched)
		p.memory.explainAll(batch.Events(), reservation)
	}
	outgoing, counts := batch.Write(ld)
	p.telemetry.handOver(ctx, incoming, outgoing, p.now().Sub(begin))
	watched.HandOver()
	if outgoing > 0 {
		if err = p.next.ConsumeLogs(reservation.handOver(ctx, batch.Events()), ld); err != nil {
			p.telemetry.refused(ctx, incoming)
			return err
		}
	}
	accepted = true
	reservation.accept()
	p.diagnosis.sent(batch.Events(), begin)
	watched.Accepted()
	p.telemetry.done(ctx, &counts)
	p.reasons.report(&counts)
	return nil
}
