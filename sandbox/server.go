// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server is a local Amplitude: it answers the ingestion API, stores what it receives, and shows it. It is an
// http.Handler; Serve and Shutdown are for use without another server.
//
// It only connects its parts, which have their own paths: uploads accepts events, eventsAPI, requestsAPI, usersAPI and
// experimentsAPI show them, streamAPI reports what happens and recordsAPI what happened before that in a Collector,
// faultsAPI injects failures, sendAPI is the page's form, controlAPI is the sandbox itself, and gate keeps other sites
// out. Their state is in store.
type Server struct {
	store   *store
	handler http.Handler
	control routes // the page, the read API and the control API

	stop    context.CancelFunc // ends streams and waits
	http    *http.Server
	served  chan struct{}
	address net.Addr
}

// NewServer returns a sandbox, or an error that says what is wrong with the configuration.
func NewServer(config Config) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	closed, stop := context.WithCancel(context.Background())
	st := &store{config: config, clock: clock{base: time.Now}, closed: closed, changed: make(chan struct{}), large: make(slots, largeBodies), watching: make(slots, watchers)}
	st.clear()
	up := &uploads{st}
	s := &Server{store: st, stop: stop, control: merged(
		pageRoutes(),
		(&eventsAPI{st}).routes(),
		(&requestsAPI{st}).routes(),
		(&usersAPI{st}).routes(),
		(&experimentsAPI{st}).routes(),
		(&streamAPI{st}).routes(),
		(&recordsAPI{st}).routes(),
		(&faultsAPI{st}).routes(),
		(&controlAPI{st}).routes(),
		(&sendAPI{up}).routes(),
	)}
	s.handler = newHandler(newGate(st), s.control, up)
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

const (
	// readHeaderTimeout and idleTimeout end silent connections, writeTimeout those that read nothing. A stream extends
	// it with each write.
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	writeTimeout      = 10 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// Serve answers requests on a listener in the background until Shutdown.
func (s *Server) Serve(l net.Listener) error { return s.serve(muteableListener{l}) }

// ServeTLS is Serve over TLS, with HTTP/2 like Amplitude unless the configuration names other protocols.
func (s *Server) ServeTLS(l net.Listener, config *tls.Config) error {
	config = config.Clone()
	if len(config.NextProtos) == 0 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return s.serve(tls.NewListener(muteableListener{l}, config))
}

func (s *Server) serve(l net.Listener) error {
	if s.http != nil {
		return errors.New("the sandbox is already serving")
	}
	s.http = &http.Server{
		Handler: s, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, WriteTimeout: writeTimeout, MaxHeaderBytes: maxHeaderBytes, ConnContext: withWire,
	}
	s.served = make(chan struct{})
	s.address = l.Addr()
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l) // ends with ErrServerClosed; a broken listener shows as refused connections
	}()
	return nil
}

// Shutdown ends streams, waits for requests in progress until ctx is done, and stops serving.
// It may be called twice, and without Serve.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
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
