// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// insertIDKey stands once in each event that arrives, in all encodings that are compared.
var insertIDKey = []byte("insert_id")

// serve counts the events that are posted, in a process of its own so that its work is not measured.
// It ends when its standard input is closed.
func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var received atomic.Int64
	var away atomic.Bool
	buffers := sync.Pool{New: func() any { return new(bytes.Buffer) }}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, received.Load())
	})
	mux.HandleFunc("POST /away/{now}", func(_ http.ResponseWriter, r *http.Request) {
		away.Store(r.PathValue("now") == "true")
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		body := buffers.Get().(*bytes.Buffer)
		defer buffers.Put(body)
		body.Reset()
		if _, err := body.ReadFrom(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if away.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		n := bytes.Count(body.Bytes(), insertIDKey)
		received.Add(int64(n))
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
			if r.Header.Get("Content-Type") == "application/json" {
				fmt.Fprint(w, "{}")
			}
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"code":200,"events_ingested":%d,"payload_size_bytes":%d,"server_upload_time":1}`, n, body.Len())
	})
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// sink is the other end: a process that takes whatever is posted.
type sink struct {
	url   string
	input io.Closer
	cmd   *exec.Cmd
}

func startSink() (*sink, error) {
	cmd := exec.Command(os.Args[0], "-sink") //nolint:gosec // this very program
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	address, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the sink did not start: %w", err), cmd.Wait())
	}
	return &sink{url: "http://" + strings.TrimSpace(address), input: input, cmd: cmd}, nil
}

// count is how many events have arrived.
func (s *sink) count() (int, error) {
	answer, err := http.Get(s.url + "/count")
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// await waits until so many events have arrived, and returns how many have not in time.
func (s *sink) await(events int) (missed int, err error) {
	err = waitFor(func() (bool, error) {
		n, err := s.count()
		missed = events - n
		return missed <= 0, err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return missed, err
}

// setAway makes the sink answer 503, or take events again.
func (s *sink) setAway(away bool) error {
	answer, err := http.Post(fmt.Sprint(s.url, "/away/", away), "", nil)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

func (s *sink) stop() error {
	return errors.Join(s.input.Close(), s.cmd.Wait())
}
