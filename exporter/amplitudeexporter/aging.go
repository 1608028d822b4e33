// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"sync"
	"time"
)

// aging bounds the age of connections, so that the current targets of a load balancer or of DNS are used. The transport
// does not expose the age of a connection: after each period, as many requests as there can be kept connections close
// theirs, and so do all that start while an older request is in flight, because they may get its connection.
type aging struct {
	age  time.Duration
	now  func() time.Time
	kept int

	mu sync.Mutex
	// since is when all connections were new, era the number of that period.
	since time.Time
	era   int
	// inFlight counts the requests of this era, older those of earlier eras.
	inFlight, older int
	// left is how many requests still have to close their connection.
	left int
}

// begin counts a request. last reports whether the connection must be closed after it.
func (a *aging) begin() (era int, last bool) {
	if a.age == 0 {
		return 0, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.now(); a.since.IsZero() {
		a.since = now
	} else if now.Sub(a.since) >= a.age {
		a.since = now
		a.era++
		a.older += a.inFlight
		a.inFlight = 0
		a.left = a.kept
	}
	a.inFlight++
	last = a.left > 0 || a.older > 0
	a.left = max(0, a.left-1)
	return a.era, last
}

// end counts the end of a request.
func (a *aging) end(era int) {
	if a.age == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if era == a.era {
		a.inFlight--
		return
	}
	if a.older--; a.older == 0 {
		a.left = a.kept
	}
}
