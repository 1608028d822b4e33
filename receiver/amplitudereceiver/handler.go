// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/receiver"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"
	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"
)

const (
	// maxBytesV2 and maxBytesBatch are the larger readings of "1 MB" and "20 MB".
	maxBytesV2    = 1 << 20
	maxBytesBatch = 20 << 20
	// largestKept bounds the buffers that are kept for reuse. They double as they grow.
	largestKept = 2 * maxBytesV2
	// promised bounds the memory that is allocated for an announced length before the body arrives.
	promised = 64 << 10
	// drained bounds how much of an oversized body is read, so that the client sees the answer rather than a reset.
	drained = 64 << 20
)

// handler answers requests to Amplitude's ingestion APIs.
type handler struct {
	config    *Config
	next      consumer.Logs
	telemetry *telemetry
	addresses *addresses
	readers   freelist.List[*upload.Reader]
	buffers   freelist.List[*bytes.Buffer]
	// ending is canceled by end when the receiver shuts down.
	ending context.Context
	end    context.CancelFunc
}

var errEnding = errors.New("the receiver shut down before a request was complete")

func newHandler(set receiver.Settings, config *Config, next consumer.Logs) (*handler, error) {
	telemetry, err := newTelemetry(set)
	if err != nil {
		return nil, err
	}
	addresses, err := newAddresses(config)
	if err != nil {
		return nil, err
	}
	idle := 2 * runtime.GOMAXPROCS(0)
	ending, end := context.WithCancel(context.Background())
	return &handler{
		ending: ending, end: end,
		config: config, next: next, telemetry: telemetry, addresses: addresses,
		readers: freelist.New[*upload.Reader](idle), buffers: freelist.New[*bytes.Buffer](idle),
	}, nil
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := endpointOf(r)
	if e == endpointOther {
		h.refuse(w, r, e, upload.InvalidPath(), 0)
		return
	}
	received := time.Now()
	buffer := h.buffer()
	defer h.release(buffer)
	switch refusal := h.read(buffer, w, r, e); {
	case refusal != nil && h.ending.Err() != nil:
		h.refusedByNext(w, r, e, 0, errEnding)
		return
	case refusal != nil:
		h.refuse(w, r, e, refusal, buffer.Len())
		return
	}
	call := upload.Call{Batch: e == endpointBatch, Remote: h.addresses.of(r), Received: received}
	taken, refusal := h.decode(buffer.Bytes(), r, e, call)
	if refusal != nil {
		h.refuse(w, r, e, refusal, buffer.Len())
		return
	}
	if err := h.consume(r.Context(), taken); err != nil {
		h.refusedByNext(w, r, e, taken.Events, err)
		return
	}
	h.telemetry.accepted(r.Context(), &taken.Counts)
	h.reply(w, r, e, e.accepted(received, buffer.Len(), taken.Events))
}

// read reads the body, including a bounded part of an oversized one. During shutdown, it does not wait for a client
// that stalls, because the shutdown would wait for it.
func (h *handler) read(buffer *bytes.Buffer, w http.ResponseWriter, r *http.Request, e endpoint) *upload.Refusal {
	defer context.AfterFunc(h.ending, func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) })()
	limit := e.maxBytes()
	if n := r.ContentLength; n > 0 && n <= limit {
		buffer.Grow(int(min(n, promised)) + bytes.MinRead)
	}
	_, err := buffer.ReadFrom(io.LimitReader(r.Body, limit+1))
	tooLarge := new(http.MaxBytesError)
	switch {
	case int64(buffer.Len()) > limit, errors.As(err, &tooLarge):
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, drained))
		return upload.TooLarge()
	case err != nil, !e.accepts(r.Header.Get("Content-Type")):
		return upload.InvalidJSON()
	default:
		return nil
	}
}

// decode turns the body into records.
func (h *handler) decode(body []byte, r *http.Request, e endpoint, call upload.Call) (*upload.Upload, *upload.Refusal) {
	reader, idle := h.readers.Get()
	if !idle {
		reader = upload.NewReader(upload.Settings{
			Projects: h.config.projects(), MinIDLength: h.config.MinIDLength, RejectUnknown: h.config.UnknownFields == unknownReject,
		})
	}
	defer h.readers.Put(reader)
	if !e.isForm() {
		return reader.Read(body, call)
	}
	values, err := formOf(body, r)
	if err != nil {
		return nil, upload.InvalidJSON()
	}
	return reader.ReadForm(upload.Identifications{
		Key: values.Get("api_key"), JSON: values.Get("identification"), Group: e == endpointGroupIdentify,
	}, call)
}

// formOf returns the fields of a form, which may also be in the query.
func formOf(body []byte, r *http.Request) (url.Values, error) {
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err := r.ParseMultipartForm(maxBytesV2); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return nil, err
	}
	return r.Form, nil
}

// consume hands on the records.
func (h *handler) consume(ctx context.Context, taken *upload.Upload) error {
	if taken.Events == 0 {
		return nil
	}
	ctx = h.telemetry.report.StartLogsOp(ctx)
	err := h.next.ConsumeLogs(ctx, taken.Logs)
	h.telemetry.report.EndLogsOp(ctx, format, taken.Events, err)
	return err
}

// refusedByNext answers when the next component refuses events. If it is temporary, clients send them again; if it is
// permanent, each event is listed as invalid, which makes every client drop it immediately.
func (h *handler) refusedByNext(w http.ResponseWriter, r *http.Request, e endpoint, events int, err error) {
	permanent := isPermanent(err)
	h.telemetry.refusedByNext(r.Context(), err, permanent)
	h.reply(w, r, e, e.refusedByNext(permanent, events))
}

// isPermanent reports whether a refusal is entirely permanent. If the receiver feeds several pipelines, the error joins
// those of all of them. A pipeline that would accept the events later must get them again; for those that did accept
// them, they are copies with the same insert_id.
func isPermanent(err error) bool {
	if several, joined := err.(interface{ Unwrap() []error }); joined {
		return !slices.ContainsFunc(several.Unwrap(), func(one error) bool { return !isPermanent(one) })
	}
	if !consumererror.IsPermanent(err) {
		return false
	}
	inner := errors.Unwrap(err)
	return inner == nil || !consumererror.IsPermanent(inner) || isPermanent(inner)
}

func (h *handler) refuse(w http.ResponseWriter, r *http.Request, e endpoint, refusal *upload.Refusal, size int) {
	h.telemetry.refused(r.Context(), refusal, size)
	h.reply(w, r, e, e.refused(refusal))
}

// failed answers requests that confighttp refuses before they reach the handler: a body that cannot be decompressed, or
// an unauthenticated sender.
func (h *handler) failed(w http.ResponseWriter, r *http.Request, _ string, status int) {
	refusal := upload.InvalidJSON()
	if status == http.StatusUnauthorized {
		refusal = upload.Unauthenticated()
	}
	h.refuse(w, r, endpointOf(r), refusal, 0)
}

// reply writes an answer.
func (h *handler) reply(w http.ResponseWriter, r *http.Request, e endpoint, a answer) {
	h.telemetry.answered(r.Context(), e, a.status)
	w.Header().Set("Content-Type", a.contentType)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

func (h *handler) buffer() *bytes.Buffer {
	if buffer, ok := h.buffers.Get(); ok {
		return buffer
	}
	return new(bytes.Buffer)
}

func (h *handler) release(buffer *bytes.Buffer) {
	if buffer.Cap() <= largestKept {
		buffer.Reset()
		h.buffers.Put(buffer)
	}
}
