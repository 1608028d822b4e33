// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// How the page's Send form sends an exposure.
const (
	viaSandbox   = "sandbox"   // straight to this sandbox
	viaCollector = "collector" // as a log record to Config.OTLPEndpoint
)

// Servers that the code of the Send form can target. The form itself never sends to Amplitude.
const (
	toSandbox = "sandbox"
	toUS      = RegionUS
	toEU      = RegionEU
)

// servers are Amplitude's servers.
var servers = map[string]string{toUS: "https://api2.amplitude.com", toEU: "https://api.eu.amplitude.com"}

// exposureForm is the Send form: one exposure, as on Amplitude's page about tracking exposures.
type exposureForm struct {
	Via           string `json:"via"`
	To            string `json:"to"` // the server for the code
	UserID        string `json:"user_id"`
	DeviceID      string `json:"device_id"`
	FlagKey       string `json:"flag_key"`
	Variant       string `json:"variant"` // empty: none, which is an un-exposure
	ExperimentKey string `json:"experiment_key"`
}

func (f *exposureForm) validate() error {
	if f.Via == "" {
		f.Via = viaSandbox
	}
	if f.To == "" {
		f.To = toSandbox
	}
	return errors.Join(oneOf("via", f.Via, viaSandbox, viaCollector), oneOf("to", f.To, toSandbox, toUS, toEU))
}

// sendAPI is the page's Send form: one exposure by hand.
type sendAPI struct{ *uploads }

func (s *sendAPI) routes() routes {
	return routes{
		"GET /_sandbox/send":  s.getSend,
		"POST /_sandbox/send": s.postSend,
	}
}

// field is a member of the form with a value, named as the receiver expects.
type field struct{ Name, Value string }

// withValues removes fields without a value: Amplitude refuses an empty id.
func withValues(fields ...field) []field {
	return slices.DeleteFunc(fields, func(f field) bool { return f.Value == "" })
}

// properties returns the exposure's fields under Amplitude's names.
func (f *exposureForm) properties() []field {
	return withValues(
		field{rawFlagKey, f.FlagKey},
		field{rawVariant, f.Variant},
		field{rawExperimentKey, f.ExperimentKey},
	)
}

// upload returns the body of a request to Amplitude; the key is its first value.
func (f *exposureForm) upload(key string) string {
	return execute("amplitude.json", struct {
		Key, Event      string
		IDs, Properties []field
	}{key, eventRawExposure, withValues(field{fieldUserID, f.UserID}, field{fieldDeviceID, f.DeviceID}), f.properties()})
}

// logRecord is the exposure as a log record.
type logRecord struct {
	Event      string
	Attributes []field
}

func (f *exposureForm) logRecord() logRecord {
	return logRecord{eventRawExposure, append(f.properties(), withValues(field{"user.id", f.UserID}, field{"device.id", f.DeviceID})...)}
}

// otlp returns the body of a request to an OTLP/HTTP receiver.
func (r logRecord) otlp() string { return execute("collector.json", r) }

// logsURL returns where the form sends log records, or "" if it cannot.
func (s *sendAPI) logsURL() string {
	if s.config.OTLPEndpoint == "" {
		return ""
	}
	return strings.TrimSuffix(s.config.OTLPEndpoint, "/") + "/v1/logs"
}

// ownKey returns a key that this sandbox accepts.
func (s *sendAPI) ownKey() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.order {
		if p.region == s.config.Region {
			return p.apiKey
		}
	}
	return ""
}

// sendView is what the form shows before it sends.
type sendView struct {
	URL       string `json:"url"` // of the request that the code makes
	Code      code   `json:"code"`
	Collector string `json:"collector"` // where log records go, or ""
}

// getSend answers with the code for an exposure.
func (s *sendAPI) getSend(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := exposureForm{
		Via: q.Get("via"), To: q.Get("to"), UserID: q.Get("user_id"), DeviceID: q.Get("device_id"),
		FlagKey: q.Get("flag_key"), Variant: q.Get("variant"), ExperimentKey: q.Get("experiment_key"),
	}
	if err := f.validate(); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	view := sendView{Collector: s.logsURL()}
	switch {
	case f.Via == viaCollector:
		view.URL = view.Collector
		view.Code = f.collectorCode(view.URL)
	case f.To == toSandbox:
		view.URL = ownURL(r) + pathHTTPV2
		view.Code = f.amplitudeCode(view.URL, s.ownKey())
	default:
		view.URL = servers[f.To] + pathHTTPV2
		view.Code = f.amplitudeCode(view.URL, "")
	}
	writeJSON(w, http.StatusOK, view)
}

// ownURL returns the URL of this sandbox as the client of a request addressed it.
func ownURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// sendTimeout bounds the wait for the answer to what the form sends.
const sendTimeout = 10 * time.Second

// sent is the result of a request from the form.
type sent struct {
	URL       string `json:"url"`
	Status    int    `json:"status"` // 0: no answer
	Answer    any    `json:"answer,omitempty"`
	Error     string `json:"error,omitempty"`
	After     uint64 `json:"after"`                // the newest seq before it
	RequestID uint64 `json:"request_id,omitempty"` // of a request straight to this sandbox
}

// postSend sends an exposure to this sandbox or to the Collector that the configuration names, never elsewhere.
func (s *sendAPI) postSend(w http.ResponseWriter, r *http.Request) {
	var f exposureForm
	if !readJSON(w, r, &f) {
		return
	}
	if err := f.validate(); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	if f.Via == viaCollector && s.logsURL() == "" {
		writeError(w, http.StatusConflict, "no Collector is configured: set otlp_endpoint to its OTLP/HTTP receiver")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), sendTimeout)
	defer cancel()
	out := sent{After: s.overview().LastSeq}
	if f.Via == viaCollector {
		s.sendToCollector(ctx, &f, &out)
	} else {
		s.sendToSelf(ctx, &f, &out)
	}
	writeJSON(w, http.StatusOK, out)
}

// sendToSelf handles the request like any other, including faults.
func (s *sendAPI) sendToSelf(ctx context.Context, f *exposureForm, out *sent) {
	out.URL = pathHTTPV2
	request, err := http.NewRequestWithContext(withoutWire(ctx), http.MethodPost, pathHTTPV2, strings.NewReader(f.upload(s.ownKey())))
	if err != nil {
		out.Error = err.Error()
		return
	}
	request.Header.Set("Content-Type", typeJSON)
	request.Header.Set("User-Agent", sendAgent)
	answer := &recorder{header: http.Header{}}
	out.RequestID = s.ingest(answer, request)
	if out.Status = answer.status; out.Status == 0 {
		out.Error = "no answer: a fault closed the connection"
		return
	}
	out.Answer = jsonOrText(strings.TrimSpace(answer.body.String()))
}

// sendAgent is the User-Agent of what the form sends.
const sendAgent = "amplitude-sandbox-send"

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recorder) Header() http.Header { return a.header }

func (a *recorder) WriteHeader(status int) { a.status = status }

func (a *recorder) Write(p []byte) (int, error) { return a.body.Write(p) }

// collectorClient follows no redirects and uses no proxy: the form sends to the configured address or nowhere.
var collectorClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (s *sendAPI) sendToCollector(ctx context.Context, f *exposureForm, out *sent) {
	const longest = 64 << 10
	out.URL = s.logsURL()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, out.URL, strings.NewReader(f.logRecord().otlp()))
	if err != nil {
		out.Error = err.Error()
		return
	}
	request.Header.Set("Content-Type", typeJSON)
	request.Header.Set("User-Agent", sendAgent)
	response, err := collectorClient.Do(request)
	if err != nil {
		out.Error = fmt.Sprintf("no Collector answers at %s (%v): start one, or set otlp_endpoint", out.URL, errors.Unwrap(err))
		return
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, longest))
	if err != nil {
		out.Error = err.Error()
	}
	out.Status, out.Answer = response.StatusCode, jsonOrText(strings.TrimSpace(string(text)))
}
