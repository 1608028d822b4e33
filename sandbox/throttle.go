// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"slices"
	"time"

	"github.com/zeebo/xxh3"
)

// throttling is what is over its rate or quota in one request.
type throttling struct {
	users, devices           map[string]int // id to its rate, events per second
	quotaUsers, quotaDevices map[string]int // id to its events of the day
	events                   []int
}

// list returns the events with a throttled id; never nil.
func (t *throttling) list() []int {
	if t.events == nil {
		return []int{}
	}
	return t.events
}

func (t *throttling) any() bool {
	return len(t.users)+len(t.devices)+len(t.quotaUsers)+len(t.quotaDevices) > 0
}

// idKey identifies a user or device in the accounts.
type idKey uint64

// Different seeds keep a user and a device with the same name apart.
const (
	seedUser = iota
	seedDevice
	seedSpammy
)

func userKey(id string) idKey   { return idKey(xxh3.HashStringSeed(id, seedUser)) }
func deviceKey(id string) idKey { return idKey(xxh3.HashStringSeed(id, seedDevice)) }

// rates counts accepted events per id over the last window, exactly.
type rates struct {
	window time.Duration
	count  map[idKey]int
	total  int
	log    []rateEntry // oldest first
	head   int
}

type rateEntry struct {
	at  int64 // nanoseconds
	id  idKey
	n   int32
	sum int32 // events of the request, on its first entry
}

func (r *rates) expire(now time.Time) {
	limit := now.Add(-r.window).UnixNano()
	for r.head < len(r.log) && r.log[r.head].at <= limit {
		e := r.log[r.head]
		if left := r.count[e.id] - int(e.n); left > 0 {
			r.count[e.id] = left
		} else {
			delete(r.count, e.id)
		}
		r.total -= int(e.sum)
		r.head++
	}
	if r.head > len(r.log)/2 {
		r.log = append(r.log[:0], r.log[r.head:]...)
		r.head = 0
		if cap(r.log) > 1024 && len(r.log) < cap(r.log)/4 {
			r.log = slices.Clip(slices.Clone(r.log))
		}
	}
}

func (r *rates) add(now time.Time, counts map[idKey]int, events int) {
	if r.count == nil {
		r.count = map[idKey]int{}
	}
	sum := int32(events)
	for id, n := range counts {
		r.count[id] += n
		r.log = append(r.log, rateEntry{at: now.UnixNano(), id: id, n: int32(n), sum: sum})
		sum = 0
	}
	r.total += events
}

// perSecond returns the rate of n events in the window, rounded up.
func (r *rates) perSecond(n int) int {
	return int((time.Duration(n)*time.Second + r.window - 1) / r.window)
}

// quota counts events per id over the last 24 hours in steps of one hour.
type quota struct {
	hours map[int64]map[idKey]int
	sum   map[idKey]int
}

// quotaIDs bounds the ids counted in one hour; ids beyond it are neither counted nor limited.
const quotaIDs = 500_000

func (q *quota) expire(now time.Time) {
	hour := now.Unix() / 3600
	for h, counts := range q.hours {
		if h > hour-24 {
			continue
		}
		for id, n := range counts {
			if left := q.sum[id] - n; left > 0 {
				q.sum[id] = left
			} else {
				delete(q.sum, id)
			}
		}
		delete(q.hours, h)
	}
}

func (q *quota) add(now time.Time, counts map[idKey]int) {
	hour := now.Unix() / 3600
	if q.hours == nil {
		q.hours, q.sum = map[int64]map[idKey]int{}, map[idKey]int{}
	}
	if q.hours[hour] == nil {
		q.hours[hour] = map[idKey]int{}
	}
	current := q.hours[hour]
	for id, n := range counts {
		if _, known := q.sum[id]; !known && len(current) >= quotaIDs {
			continue
		}
		current[id] += n
		q.sum[id] += n
	}
}

// forced are the ids that the control API throttles, regardless of their rate.
type forced struct {
	throttle map[string]time.Time // id to the end
	quota    map[string]time.Time
	silence  map[string]bool
}

func newForced() forced {
	return forced{throttle: map[string]time.Time{}, quota: map[string]time.Time{}, silence: map[string]bool{}}
}

func active(until map[string]time.Time, id string, now time.Time) bool {
	end, ok := until[id]
	return ok && (end.IsZero() || now.Before(end))
}

// accounts are the rates and quotas of one project.
type accounts struct {
	v2, batch rates
	project   rates
	quota     quota
	spammy    map[idKey]bool
}

func (a *accounts) of(batch bool) *rates {
	if batch {
		return &a.batch
	}
	return &a.v2
}

// requestCounts counts the events of a request per id.
func requestCounts(events []*event) map[idKey]int {
	counts := make(map[idKey]int, 2*len(events))
	for _, e := range events {
		if e.userID != "" {
			counts[userKey(e.userID)]++
		}
		counts[deviceKey(e.deviceID)]++
	}
	return counts
}

// check returns which parts of the request exceed a rate or quota.
func (a *accounts) check(b *Behavior, end Endpoint, f forced, now time.Time, batch bool, events []*event, counts map[idKey]int) *throttling {
	r := a.of(batch)
	r.window = b.EPSWindow
	r.expire(now)
	t := &throttling{users: map[string]int{}, devices: map[string]int{}, quotaUsers: map[string]int{}, quotaDevices: map[string]int{}}
	limit := time.Duration(end.EPSThreshold) * b.EPSWindow
	if end.DailyQuota {
		a.quota.expire(now)
	}
	one := func(id string, key idKey, throttled, over map[string]int) bool {
		hit := false
		n := counts[key]
		in := r.count[key] + n
		switch {
		case active(f.throttle, id, now):
			throttled[id], hit = end.EPSThreshold+1, true
		case time.Duration(in)*time.Second > limit:
			throttled[id], hit = r.perSecond(in), true
			a.markSpammy(key)
		}
		if !end.DailyQuota {
			return hit
		}
		switch day := a.quota.sum[key] + n; {
		case active(f.quota, id, now):
			over[id], hit = b.DailyQuota+n, true
		case day > b.DailyQuota && (!b.DailyRequiresSpammy || a.spammy[key]):
			over[id], hit = day, true
		}
		return hit
	}
	for _, e := range events {
		hit := e.userID != "" && one(e.userID, userKey(e.userID), t.users, t.quotaUsers)
		if one(e.deviceID, deviceKey(e.deviceID), t.devices, t.quotaDevices) || hit {
			t.events = append(t.events, e.index)
		}
	}
	return t
}

func (a *accounts) markSpammy(key idKey) {
	if a.spammy == nil {
		a.spammy = map[idKey]bool{}
	}
	if len(a.spammy) < quotaIDs {
		a.spammy[key] = true
	}
}

// overProject reports whether the project as a whole exceeds its rate with n more events: that of the endpoint, or that
// of both endpoints together. check has already dropped what is outside the window.
func (a *accounts) overProject(b *Behavior, end Endpoint, now time.Time, batch bool, n int) bool {
	over := func(r *rates, eps int) bool {
		return eps > 0 && time.Duration(r.total+n)*time.Second > time.Duration(eps)*b.EPSWindow
	}
	if over(a.of(batch), end.ProjectEPS) {
		return true
	}
	a.project.window = b.EPSWindow
	a.project.expire(now)
	return over(&a.project, b.ProjectEPS)
}

// add accounts for a request.
func (a *accounts) add(b *Behavior, end Endpoint, now time.Time, batch bool, counts map[idKey]int, events int) {
	a.of(batch).add(now, counts, events)
	if end.DailyQuota {
		a.quota.add(now, counts)
	}
	if b.ProjectEPS > 0 {
		a.project.add(now, map[idKey]int{0: events}, events)
	}
}
