// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/xxh3"
)

// Server is a local Amplitude: it answers the ingestion API, keeps what it was sent, and shows it.
// It is an http.Handler; Listen and Close are for those who want it to serve by itself.
type Server struct {
	config  Config
	clock   clock
	handler http.Handler
	hosts   map[string]bool
	origins map[string]bool

	mu       sync.Mutex
	behavior Behavior
	waf      []*regexp.Regexp
	projects map[string]*project // by API key
	order    []*project
	seq      uint64 // of the newest entry
	requests uint64 // number of the newest request
	epoch    uint64 // counts resets
	events   *ring[*entry]
	log      *ring[*request]
	warnings *ring[warning]
	forced   forced
	faults   []*Fault
	faultID  int
	prints   *ring[xxh3.Uint128] // of the newest requests
	printed  map[xxh3.Uint128]int
	stats    stats
	inflight map[idKey]int
	changed  chan struct{} // closed and replaced when something happened

	done    context.CancelFunc // ends streams and waits
	closed  context.Context
	http    *http.Server
	served  chan struct{}
	address net.Addr
}

// NewServer returns a sandbox. The configuration has to be valid.
func NewServer(config Config) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	s := &Server{config: config, clock: clock{base: time.Now}, hosts: map[string]bool{}, origins: map[string]bool{}, changed: make(chan struct{})}
	s.closed, s.done = context.WithCancel(context.Background())
	for _, host := range config.AllowedHosts {
		s.hosts[strings.ToLower(host)] = true
	}
	for _, origin := range config.AllowedOrigins {
		s.origins[strings.ToLower(strings.TrimSuffix(origin, "/"))] = true
	}
	s.clear()
	s.handler = s.routes()
	return s, nil
}

// clear forgets everything and restores the configured behavior. The caller holds the lock or is alone.
func (s *Server) clear() {
	r := s.config.Retention
	s.projects, s.order = map[string]*project{}, nil
	for i, p := range s.config.projects() {
		one := &project{
			number: i + 1, apiKey: p.APIKey, region: p.Region,
			identities: newIdentities(r.Users), dedupe: dedupe{limit: r.DedupeKeys},
			groups: map[string]properties{}, flags: newExperiments(),
		}
		s.projects[one.apiKey] = one
		s.order = append(s.order, one)
	}
	s.events = newRing(r.Events, r.EventBytes, (*entry).size)
	s.log = newRing(r.Requests, r.RequestBytes, (*request).size)
	s.warnings = newRing(warningsKept, 1<<20, warning.size)
	s.forced = newForced()
	s.faults = nil
	s.inflight = map[idKey]int{}
	s.prints = newRing(printsKept, 1<<40, func(xxh3.Uint128) int64 { return 1 })
	s.printed = map[xxh3.Uint128]int{}
	s.stats = newStats(s.clock.now())
	s.setBehavior(s.config.Behavior)
}

// setBehavior takes a valid behavior.
func (s *Server) setBehavior(b Behavior) {
	s.behavior = b
	s.waf = nil
	for _, pattern := range b.WAFPatterns {
		s.waf = append(s.waf, regexp.MustCompile(pattern))
	}
}

// notify wakes streams and waits. The caller holds the lock.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// readHeaderTimeout ends connections that say nothing.
const readHeaderTimeout = 10 * time.Second

// Serve answers requests on a listener in the background until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	if s.http != nil {
		return errors.New("the sandbox serves already")
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: readHeaderTimeout}
	s.served = make(chan struct{})
	s.address = l.Addr()
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l) // ends with ErrServerClosed; a listener that breaks shows as refused connections
	}()
	return nil
}

// Shutdown ends streams, waits for requests in progress until ctx is done, and stops serving.
// It may be called twice, and without Serve.
func (s *Server) Shutdown(ctx context.Context) error {
	s.done()
	if s.http == nil {
		return nil
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
		err = fmt.Errorf("the sandbox did not stop in time: %w", err)
	}
	<-s.served
	return err
}
