// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
)

// tapPrinter prints each decision once: when it is final, or when it has waited long enough.
type tapPrinter struct {
	*tapping
	w       io.Writer
	printed int
	missed  uint64
	waiting map[uint64]*waitingDecision
	order   []uint64
	// newest is the number of the newest decision seen.
	newest uint64
}

type waitingDecision struct {
	raw   json.RawMessage
	shown tap.Shown
	since time.Time
}

func (p *tapPrinter) enough() bool { return p.count > 0 && p.printed >= p.count }

func (p *tapPrinter) take(m tapMessage) error {
	if m.event != "records" {
		return nil
	}
	var batch struct {
		Missed  uint64            `json:"missed"`
		Records []json.RawMessage `json:"records"`
	}
	if err := json.Unmarshal(m.data, &batch); err != nil {
		return fmt.Errorf("reading the stream: %w", err)
	}
	p.missed += batch.Missed
	for _, raw := range batch.Records {
		one := &waitingDecision{raw: raw, since: time.Now()}
		if err := json.Unmarshal(raw, &one.shown); err != nil {
			return fmt.Errorf("reading the stream: %w", err)
		}
		before, known := p.waiting[one.shown.Seq]
		switch {
		case known:
			one.since = before.since
		case one.shown.Seq <= p.newest:
			continue // it was already printed without this update
		default:
			p.newest = one.shown.Seq
			p.order = append(p.order, one.shown.Seq)
		}
		p.waiting[one.shown.Seq] = one
	}
	return p.overdue(time.Now())
}

// overdue prints what is final, and what has waited too long.
func (p *tapPrinter) overdue(now time.Time) error {
	left := p.order[:0]
	for i, seq := range p.order {
		one := p.waiting[seq]
		if p.enough() || !one.shown.Ended && now.Sub(one.since) < p.wait {
			left = append(left, seq)
			continue
		}
		delete(p.waiting, seq)
		if err := p.print(one); err != nil {
			p.order = append(left, p.order[i+1:]...)
			return err
		}
	}
	p.order = left
	if p.missed > 0 && !p.json && len(left) == 0 {
		_, err := fmt.Fprintf(p.w, "… %d more, not shown\n", p.missed)
		p.missed = 0
		return err
	}
	return nil
}

// flush prints everything that waits.
func (p *tapPrinter) flush() error { return p.overdue(time.Now().Add(p.wait)) }

func (p *tapPrinter) print(one *waitingDecision) error {
	p.printed++
	if p.json {
		_, err := p.w.Write(append(one.raw, '\n'))
		return err
	}
	_, err := io.WriteString(p.w, tapLine(&one.shown)+"\n")
	return err
}

// tapLine formats a decision as one line: time, outcome, service, flag and user, and why or what became of it.
func tapLine(s *tap.Shown) string {
	outcome := s.Outcome
	if s.Reason != "" {
		outcome += " (" + s.Reason + ")"
	}
	words := []string{fmt.Sprintf("%s  %-22s", s.Time.Local().Format("15:04:05.000"), outcome)}
	if s.Service != "" {
		words = append(words, s.Service)
	}
	if flags := tapFlags(s.Flags); flags != "" {
		words = append(words, flags)
	} else if s.EventName != "" {
		words = append(words, strconv.Quote(s.EventName))
	}
	for _, id := range []*tap.ID{s.User, s.Device} {
		if id != nil {
			words = append(words, id.Value)
			break
		}
	}
	if s.Why != "" {
		words = append(words, s.Why)
	}
	for i, became := range s.Became {
		if s.Events[i].State != tap.StateRepeat {
			words = append(words, became)
		}
	}
	return strings.Join(words, "  ")
}

func tapFlags(flags []tap.Flag) string {
	const most = 3
	var all []string
	for i, f := range flags {
		if i == most {
			all = append(all, fmt.Sprintf("and %d more", len(flags)-most))
			break
		}
		if f.Variant == "" {
			all = append(all, f.Key)
		} else {
			all = append(all, f.Key+"="+f.Variant)
		}
	}
	return strings.Join(all, " ")
}
