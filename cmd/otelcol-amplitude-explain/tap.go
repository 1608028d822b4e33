// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const tapUsage = `Watch what a running Collector decides about each record, and what becomes of its events, one line per record.

usage: otelcol-amplitude-explain tap [flags] [URL]

The Collector needs the extension amplitude_tap; URL is its address (default http://127.0.0.1:8587). The page of an
amplitude_sandbox shows the same: http://127.0.0.1:8585/_sandbox/records. A record that becomes events is printed once
Amplitude has answered, or after --wait. Ids are masked unless the Collector shows them. Stop with Ctrl-C.

  otelcol-amplitude-explain tap --outcome skipped,rejected
  otelcol-amplitude-explain tap --outcome skipped --flag checkout http://127.0.0.1:8587
  otelcol-amplitude-explain tap --user user-12345 --json | jq .

flags:
`

const (
	defaultTap = "http://127.0.0.1:8587"
	// decisionsPath is where an amplitude_tap serves them.
	decisionsPath = "/decisions"
	// maxMessage bounds one message of the stream.
	maxMessage = 64 << 20
)

// tapping holds the flags of tap.
type tapping struct {
	query   url.Values
	address *url.URL
	headers http.Header
	json    bool
	count   int
	wait    time.Duration
}

// watchTap prints decisions until it is interrupted, has printed as many as requested, or the Collector stops.
func watchTap(args []string, stdout, stderr io.Writer) (status int, err error) {
	t, err := parseTap(args, stderr)
	if err != nil {
		return exitUnreadable, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := t.run(ctx, stdout); err != nil && ctx.Err() == nil {
		return exitUnreadable, err
	}
	return 0, nil
}

func parseTap(args []string, stderr io.Writer) (*tapping, error) {
	t := &tapping{query: url.Values{}, headers: http.Header{}}
	set := flag.NewFlagSet("otelcol-amplitude-explain tap", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprint(stderr, tapUsage)
		set.PrintDefaults()
	}
	for name, meaning := range map[string]string{
		"outcome": "only records with one of these comma-separated `outcomes`, such as skipped,rejected",
		"reason":  "only records with one of these `reasons`, such as static,short_id",
		"service": "only records of this `service`: service.name of the resource",
		"flag":    "only records about this `flag`",
		"user":    "only records of this user or device: the `id`, or its masked form",
	} {
		set.Func(name, meaning, func(value string) error {
			t.query.Set(name, value)
			return nil
		})
	}
	set.Func("per-second", "at most this many records per `second`, rare outcomes first (default: the Collector's limit)", func(value string) error {
		t.query.Set("per_second", value)
		_, err := strconv.Atoi(value)
		return err
	})
	set.Func("header", "`header` for a Collector that requires authentication, such as \"Authorization: Bearer ${TOKEN}\"", func(value string) error {
		name, content, found := strings.Cut(value, ":")
		if !found {
			return errors.New("a header is \"Name: value\"")
		}
		t.headers.Add(strings.TrimSpace(name), strings.TrimSpace(content))
		return nil
	})
	set.BoolVar(&t.json, "json", false, "print one JSON object for each record, with the whole explanation")
	set.IntVar(&t.count, "count", 0, "stop after this `number` of records (default: never)")
	set.DurationVar(&t.wait, "wait", 5*time.Second, "how `long` to wait for Amplitude's answer before a record is printed without it")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	address := defaultTap
	switch set.NArg() {
	case 0:
	case 1:
		address = set.Arg(0)
	default:
		return nil, fmt.Errorf("tap watches one Collector: pass one URL, after the flags (got %s)", strings.Join(set.Args(), " "))
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	var err error
	if t.address, err = url.Parse(address); err != nil {
		return nil, err
	}
	if strings.Trim(t.address.Path, "/") == "" {
		t.address.Path = decisionsPath
	}
	if t.json {
		t.query.Set("detail", "json")
	}
	t.address.RawQuery = t.query.Encode()
	return t, nil
}

// run reads the stream.
func (t *tapping) run(ctx context.Context, stdout io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.address.String(), http.NoBody) //nolint:gosec // the user names the address
	if err != nil {
		return err
	}
	request.Header = t.headers
	response, err := http.DefaultClient.Do(request) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("%w: does a Collector with the extension amplitude_tap listen there?", err)
	}
	defer func() { _ = response.Body.Close() }()
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		return notATap(response)
	}
	messages := make(chan tapMessage)
	read := make(chan error, 1)
	go func() {
		read <- readMessages(response.Body, func(m tapMessage) bool {
			select {
			case messages <- m:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	p := &tapPrinter{tapping: t, w: stdout, waiting: map[uint64]*waitingDecision{}}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !p.enough() {
		select {
		case m := <-messages:
			err = p.take(m)
		case now := <-tick.C:
			err = p.overdue(now)
		case err = <-read:
			if err == nil {
				err = errors.New("the Collector ended the stream")
			}
			return errors.Join(p.flush(), err)
		case <-ctx.Done():
			return p.flush()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// notATap returns an error that says what answered instead.
func notATap(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<12))
	var refusal struct {
		Error string `json:"error"`
	}
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%s requires authentication: pass --header \"Authorization: ...\"", response.Request.URL)
	case json.Unmarshal(text, &refusal) == nil && refusal.Error != "":
		return fmt.Errorf("%s: %s", response.Status, refusal.Error)
	default:
		return fmt.Errorf("%s answered %s instead of a stream of decisions: is this the address of an amplitude_tap?", response.Request.URL, response.Status)
	}
}

// tapMessage is one message of the stream.
type tapMessage struct {
	event string
	data  []byte
}

// readMessages reads server-sent events until their end, or until yield returns false.
func readMessages(from io.Reader, yield func(tapMessage) bool) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxMessage)
	var m tapMessage
	for lines.Scan() {
		line := lines.Bytes()
		switch {
		case len(line) == 0:
			if m.event != "" && !yield(m) {
				return nil
			}
			m = tapMessage{}
		case bytes.HasPrefix(line, []byte("event: ")):
			m.event = string(line[len("event: "):])
		case bytes.HasPrefix(line, []byte("data: ")):
			m.data = bytes.Clone(line[len("data: "):])
		}
	}
	return lines.Err()
}
