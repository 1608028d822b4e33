// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

const (
	// maxAnswer is how much of an answer is read: even a list of 2,000 indexes for a few fields fits easily.
	maxAnswer = 256 << 10
	// maxThrottled is how much of a 429 is read, which may list 2,000 throttled ids of 1,024 characters each.
	maxThrottled = 8 << 20
	// maxDrain is how much more is read so that the connection can be reused.
	maxDrain = 64 << 10
	// gzip at level 1 costs three times as much as encoding; higher levels cost far more and gain little.
	gzipLevel = gzip.BestSpeed
)

// client posts bodies to one URL. The API key is only in the body.
type client struct {
	http      *http.Client
	url       string
	userAgent string
	gzip      bool
	now       func() time.Time
	aging     aging
	// kept is how many connections are kept.
	kept int

	// bodies keeps buffers for the requests in flight and their compressed form: growing a new one copies a megabyte
	// several times.
	bodies      freelist.List[*payload]
	compressors sync.Pool // of *gzip.Writer
}

// newClient returns the client of a started exporter.
func newClient(ctx context.Context, cfg *Config, host component.Host, set component.TelemetrySettings, info component.BuildInfo, now func() time.Time) (*client, error) {
	settings := cfg.ClientConfig
	settings.Compression = ""   // done here, where buffers are pooled and bodies stay replayable
	kept := cfg.Concurrency + 1 // one more for the slow lane
	keepConnections(clientSettings{ClientConfig: &settings}, kept)
	h, err := settings.ToClient(ctx, host.GetExtensions(), set)
	if err != nil {
		return nil, fmt.Errorf("failed to create the HTTP client: %w", transportError(err))
	}
	// A redirect would send the API key to its target.
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &client{
		http:      h,
		url:       cfg.url(),
		userAgent: fmt.Sprintf("%s/%s (%s/%s)", info.Description, info.Version, runtime.GOOS, runtime.GOARCH),
		gzip:      cfg.compressed(),
		now:       now,
		aging:     aging{age: cfg.MaxConnectionAge, now: now, kept: kept},
		kept:      kept,
		bodies:    freelist.New[*payload](2 * kept),
	}
	c.compressors.New = func() any {
		w, _ := gzip.NewWriterLevel(io.Discard, gzipLevel)
		return w
	}
	return c, nil
}

// keepConnections allows n idle connections, so that requests reuse them.
func keepConnections(settings clientSettings, n int) {
	if keepalive := settings.Keepalive.Get(); keepalive != nil {
		keepalive.MaxIdleConnsPerHost = max(keepalive.MaxIdleConnsPerHost, n)
		return
	}
	settings.MaxIdleConnsPerHost = max(settings.MaxIdleConnsPerHost, n)
}

// clientSettings has the fields that have had two names in confighttp: Keepalive since v0.160, MaxIdleConnsPerHost
// before v0.165. A selector resolves to the shallowest field, so each one means confighttp's own if the core has it,
// and otherwise the one in missingSettings, which changes nothing.
type clientSettings struct {
	*confighttp.ClientConfig
	deeper
}

type deeper struct{ missingSettings }

type missingSettings struct {
	Keepalive           noKeepalive
	MaxIdleConnsPerHost int
}

// noKeepalive stands in for the section in a core without it: it has no value.
type noKeepalive struct{}

func (noKeepalive) Get() *struct{ MaxIdleConnsPerHost int } { return nil }

// payload is a pooled body. The transport may still read it after the answer has arrived, so it returns to the pool
// only when it is not used anymore.
type payload struct {
	data  []byte
	idle  freelist.List[*payload]
	users atomic.Int32
}

// newPayload returns an empty body that the caller must release.
func (c *client) newPayload() *payload {
	p, ok := c.bodies.Get()
	if !ok {
		p = &payload{idle: c.bodies}
	}
	p.data = p.data[:0]
	p.users.Store(1)
	return p
}

// maxKeptBody is the largest body whose buffer is kept: larger than any of HTTP V2. Those of the batch API can have 20
// MB.
const maxKeptBody = 2 << 20

func (p *payload) release() {
	if p.users.Add(-1) > 0 || cap(p.data) > maxKeptBody {
		return
	}
	p.idle.Put(p)
}

func (p *payload) reader() io.ReadCloser {
	p.users.Add(1)
	r := &payloadReader{payload: p}
	r.Reset(p.data)
	return r
}

type payloadReader struct {
	bytes.Reader
	payload *payload
	closed  sync.Once
}

func (r *payloadReader) Close() error {
	r.closed.Do(r.payload.release)
	return nil
}

// Write makes a payload the target of a compressor.
func (p *payload) Write(b []byte) (int, error) {
	p.data = append(p.data, b...)
	return len(b), nil
}

// post sends a body and reads the answer up to a bound. Its error does not contain the URL, which may contain a
// password.
func (c *client) post(ctx context.Context, p *payload) (answer, error) {
	if c.gzip {
		compressed := c.newPayload()
		defer compressed.release()
		w := c.compressors.Get().(*gzip.Writer)
		w.Reset(compressed)
		_, _ = w.Write(p.data) // writing to a payload cannot fail
		_ = w.Close()
		c.compressors.Put(w)
		p = compressed
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, http.NoBody)
	if err != nil {
		return answer{}, errors.New("failed to create the request")
	}
	request.GetBody = func() (io.ReadCloser, error) { return p.reader(), nil }
	request.ContentLength = int64(len(p.data))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", c.userAgent)
	if c.gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	// Present but empty, it is not sent, and lets the transport resend the request immediately if a kept connection
	// turns out to be closed, as do does where the transport does not.
	request.Header["Idempotency-Key"] = []string{}
	era, last := c.aging.begin()
	defer c.aging.end(era)
	request.Close = last
	res, err := c.do(request, p)
	if err != nil {
		return answer{}, transportError(err)
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{
		status: res.StatusCode, retryAfter: parseRetryAfter(res.Header.Get("Retry-After"), c.now()), location: whereTo(res.Header.Get("Location")),
	}
	// A truncated answer still has its status.
	limit := int64(maxAnswer)
	if a.status == http.StatusTooManyRequests {
		limit = maxThrottled
	}
	a.body, _ = io.ReadAll(io.LimitReader(res.Body, limit))
	_, _ = io.CopyN(io.Discard, res.Body, maxDrain)
	return a, nil
}

// transportError removes the URLs that http.Client and its proxy put into errors: they may contain a password.
func transportError(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if strings.HasPrefix(err.Error(), "invalid proxy address") {
		return errors.New("the proxy in the environment (HTTPS_PROXY, HTTP_PROXY) is not a valid URL")
	}
	return err
}

// whereTo returns where a redirect points, without anything that could be a secret.
func whereTo(location string) string {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return ""
	}
	return printable.Text((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}

// isTimeout reports whether a request timed out, rather than never reaching the server.
func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// parseRetryAfter parses seconds or a date; anything else counts as absent.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), int(longestWait/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), longestWait)
	}
	return 0
}
