// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

// journalEntry writes down how an entry is now. The lock of its shard is held, so that the images of
// an entry are written in the order of its changes.
func (s *State) journalEntry(e *entry) {
	if s.journal != nil {
		s.journal.add(imageOf(e))
	}
}

// journalIntent writes down that a record is about to change the result of its subject.
func (s *State) journalIntent(n *node, second uint32) {
	s.journal.add(intentImage(n, second))
}

// intentImage is the entry as it would be after the commit of n, marked as uncertain. It has the time
// of the change itself, not of its repeats, by which the change is known again.
func intentImage(n *node, second uint32) image {
	return image{
		entry: entry{id: n.id, result: n.result, newest: n.time, bucket: n.bucket, n: n.n, touched: second},
		flags: imageUnconfirmed,
	}
}

// announcedImage is a change that was on its way at an earlier crash.
func announcedImage(k id, one *announcement, second uint32) image {
	img := image{
		entry: entry{id: k, result: one.result, newest: one.oldest, bucket: one.bucket, n: one.n, touched: second},
		flags: imageUnconfirmed,
	}
	if one.arrived {
		img.newest = one.newest
		img.flags |= imageArrived
	}
	return img
}

// journalState writes down the entry that the commit of n made. An announced record is done when it lands.
func (s *State) journalState(sh *shard, n *node, e *entry, second uint32) {
	if s.journal == nil || n.intent {
		return
	}
	s.journal.add(imageOf(e))
	s.journalOpen(sh, n.id, second)
}

// journalLanding writes down how the subject k is after one of its announced records was answered.
func (s *State) journalLanding(sh *shard, k id, second uint32) {
	if e := sh.table.find(k); e != nil {
		s.journal.add(imageOf(e))
	} else {
		s.journal.add(image{entry: entry{id: k}, flags: imageGone})
	}
	s.journalOpen(sh, k, second)
}

// journalOpen repeats what is still announced of the subject k: the image of its entry, written
// before, has ended what was announced earlier.
func (s *State) journalOpen(sh *shard, k id, second uint32) {
	chain := sh.announced[k]
	for i := range chain {
		s.journal.add(announcedImage(k, &chain[i], second))
	}
	if sh.intents == 0 {
		return
	}
	for number := sh.flight.first(k, s.seed.place(k)); number != 0; number = sh.flight.after(number) {
		if n := sh.flight.at(number); n.intent {
			s.journal.add(intentImage(n, second))
		}
	}
}

// snapshot gives an image of every entry and every announced record to emit. Between them it calls
// between, holding no lock.
func (s *State) snapshot(emit func(image), between func()) {
	for i := range s.shards {
		sh := &s.shards[i]
		for slab, more := 0, true; more; slab++ {
			sh.mu.Lock()
			if more = slab < len(sh.table.slabs); more {
				used := min(int(sh.table.used)-slab*slabSize, slabSize)
				for e := range sh.table.slabs[slab][:used] {
					if e := &sh.table.slabs[slab][e]; !e.is(flagFree) {
						emit(imageOf(e))
					}
				}
			} else {
				// After the entries, so that the announcement counts.
				now := seconds(s.set.Clock().UnixMilli())
				for k, chain := range sh.announced {
					for i := range chain {
						emit(announcedImage(k, &chain[i], now))
					}
				}
				for n := range sh.flight.nodes {
					if n := &sh.flight.nodes[n]; n.intent {
						emit(intentImage(n, now))
					}
				}
			}
			sh.mu.Unlock()
			between()
		}
	}
}

// loader puts images back into the table.
type loader struct {
	state *State
	now   uint32
	bytes int
}

func newLoader(s *State) *loader {
	return &loader{state: s, now: seconds(s.set.Clock().UnixMilli())}
}

func (l *loader) load(images []byte) {
	l.bytes += len(images)
	for ; len(images) > 0; images = images[imageSize:] {
		l.put(readImage(images))
	}
}

func (l *loader) put(img image) {
	s := l.state
	sh := &s.shards[s.shardOf(img.id)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.table.find(img.id)
	img.touched = min(img.touched, l.now)
	if img.flags&imageGone != 0 || img.touched < s.forgetBefore(l.now) {
		if e != nil {
			sh.table.drop(e)
			s.entries.Add(-1)
		}
		sh.announced.forget(img.id)
		return
	}
	if img.flags&imageUnconfirmed == 0 {
		sh.announced.forget(img.id)
	} else {
		if !sh.announced.add(&img, e) {
			return
		}
		if e != nil && !e.is(flagUnconfirmed) && e.bucket == img.bucket && e.result != img.result {
			s.rememberSent(sh, e.sent(e.bucket, e.result), e.bucket, img.touched)
			e = sh.table.find(img.id) // the insertion may have moved or evicted it
		}
	}
	if e == nil {
		e = s.insert(sh, img.id, img.touched)
	}
	sh.table.touch(e, img.touched)
	e.result, e.newest, e.bucket, e.n = img.result, img.newest, img.bucket, img.n
	e.order &^= flagUnconfirmed | flagOvertaken
	if img.flags&imageUnconfirmed != 0 {
		e.order |= flagUnconfirmed
	}
	if img.flags&imageOvertaken != 0 {
		e.order |= flagOvertaken
	}
}

// clear forgets everything.
func (s *State) clear() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		s.entries.Add(-int64(sh.table.live))
		sh.table = table{seed: s.seed}
		sh.announced = nil
		sh.mu.Unlock()
	}
}
