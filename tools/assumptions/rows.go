// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/assumptions"

import "context"

// row is one assumption about Amplitude.
type row struct {
	id string
	// what is assumed, in a sentence; assumed is the same as ask or read puts it.
	what, assumed string
	// source is where we read it.
	source string
	// otherwise is what follows for users of this product if it is not so.
	otherwise string
	// turn is the behavior of the sandbox in which it is otherwise, and turned what is found then.
	turn, turned string
	// heavy rows send thousands of events, or what a firewall may object to.
	heavy bool

	// ask finds out by the answers; or send sends, and read finds out by what became of it. A row with neither cannot be
	// asked by a program.
	ask  func(ctx context.Context, p *probe) (string, error)
	send func(ctx context.Context, p *probe, user string) error
	read func(a *activity) string
}

func (r *row) asks() bool { return r.ask != nil || r.read != nil }

// rows are in the order of docs/assumptions.md: what decides about numbers first.
var rows = []row{
	{
		id: "operators-on-events", assumed: "set",
		turn: `{"event_operators": false}`, turned: "not set",
		what:      "`$set` and `$unset` in `user_properties` work on every event, not only on `$identify`.",
		source:    "All server SDKs of Amplitude Experiment send them on exposures and assignments; the HTTP V2 page says \"supported when event_type is $identify\".",
		otherwise: "No exposure would set its user property. Use `exposure: {wire: raw}`, which leaves it to Amplitude, and do not send assignments.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.must(ctx, exposure(user, flagKey, "a"))
		},
		read: func(a *activity) string { return map[bool]string{true: "set", false: "not set"}[a.variant() == "a"] },
	},
	{
		id: "raw-exposure", assumed: "transformed, a",
		turn: `{"raw_exposure": "keep"}`, turned: "not transformed, unset",
		what:      "`$exposure` becomes `[Experiment] Exposure` and sets the user property.",
		source:    "Event tracking page of Amplitude Experiment.",
		otherwise: "`exposure: {wire: raw}` must not be used.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.must(ctx, rawExposure(user, "$exposure", "1", "a"))
		},
		read: func(a *activity) string { return transformed(a, eventExposure) + ", " + a.variant() },
	},
	{
		id: "unassigned-exposure", assumed: "event, unset",
		turn: `{"unassigned_exposure": "unset"}`, turned: "no event, unset",
		what:      "A `$exposure` without a variant is stored as an event and unsets the user property.",
		source:    "The table of the Event tracking page. Comments in the sources of the JavaScript and iOS clients say that it is not stored and only unsets.",
		otherwise: "With `exposure: {wire: raw}` un-exposures do not show as events; nothing changes for the default, `transformed`, whose events are sent in the form in which they are stored.",
		send: func(ctx context.Context, p *probe, user string) error {
			set := identify(user, user+" set", event{"$set": event{experimentPrefix + flagKey: "a"}})
			return p.all(ctx, []event{set}, []event{rawExposure(user, "$exposure", "2", "")})
		},
		read: func(a *activity) string {
			return map[bool]string{true: "event", false: "no event"}[a.count() > 0] + ", " + a.variant()
		},
	},
	{
		id: "impression", assumed: "transformed, a",
		turn: `{"impression_property": "none"}`, turned: "transformed, unset",
		what:      "`$impression` becomes `[Experiment] Impression` and sets the user property.",
		source:    "Tracking page of Amplitude Web Experiment.",
		otherwise: "Impressions set nothing: send an exposure with each.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.must(ctx, rawExposure(user, "$impression", "1", "a"))
		},
		read: func(a *activity) string { return transformed(a, "[Experiment] Impression") + ", " + a.variant() },
	},
	{
		id: "arrival-order", assumed: "the later arrival",
		turn: `{"property_order": "time"}`, turned: "the newer time",
		what:      "Of two events that set a user property, the one that arrives last decides, whatever their times.",
		source:    "Data backfill page, \"Data ingestion system\".",
		otherwise: "Harmless: late records could not move a property back, and the processor would not have to prevent that.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.all(ctx, []event{exposure(user, flagKey, "newer")}, []event{exposure(user, flagKey, "older", event{"time": hoursAgo(2)})})
		},
		read: func(a *activity) string {
			return map[string]string{"older": "the later arrival", "newer": "the newer time"}[a.variant()]
		},
	},
	{
		id: "array-order", assumed: "the last",
		turn: `{"events_in_order": false}`, turned: "the first",
		what:      "Events of one request are processed in array order, including `$identify`.",
		source:    "HTTP V2 FAQ: events of a device are processed in the exact order in which they are received; the array is an inference.",
		otherwise: "A property could end up with the older of two values from one request. Please report it: the exporter would have to send the events of a person one at a time.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.must(ctx, exposure(user, flagKey, "a"), identify(user, user+" b", event{"$set": event{experimentPrefix + flagKey: "b"}}),
				exposure(user, flagKey, "c"), identify(user, user+" d", event{"$set": event{experimentPrefix + flagKey: "d"}}))
		},
		read: func(a *activity) string {
			return map[string]string{"a": "the first", "b": "some", "c": "some", "d": "the last"}[a.variant()]
		},
	},
	{
		id: "skip-sync", assumed: "left alone",
		turn: `{"skip_user_properties_sync": false}`, turned: "changed",
		what:      "`$skip_user_properties_sync` leaves the user property alone.",
		source:    "HTTP V2 and data backfill pages.",
		otherwise: "Late records and replays would move properties back: drop late records before the processor.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.all(ctx, []event{exposure(user, flagKey, "a")}, []event{exposure(user, flagKey, "b", event{"$skip_user_properties_sync": true})})
		},
		read: func(a *activity) string {
			return map[string]string{"a": "left alone", "b": "changed"}[a.variant()]
		},
	},
	{
		id: "copies", assumed: "once",
		turn: `{"dedupe_derived_device": false}`, turned: "twice",
		what:      "Two events with the same `insert_id` and `user_id` and no `device_id` are one.",
		source:    "HTTP V2 page: the key is insert_id and device_id, and a device_id that is missing is derived from user_id; that the derived one counts is an inference.",
		otherwise: "A retry after a lost answer, or two replicas without a shared memory, would count a user's exposure twice: send a device_id.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.all(ctx, []event{exposure(user, flagKey, "a")}, []event{exposure(user, flagKey, "a")})
		},
		read: stored,
	},
	{
		id: "copies-device", assumed: "twice",
		turn: `{"dedupe_key": "insert"}`, turned: "once",
		what:      "Two events with the same `insert_id` on two devices are two.",
		source:    "HTTP V2 page; the Batch page says insert_id alone.",
		otherwise: "Nothing changes: our insert_id contains the device.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.all(ctx, []event{exposure(user, flagKey, "a", event{"device_id": user + "-1"})}, []event{exposure(user, flagKey, "a", event{"device_id": user + "-2"})})
		},
		read: stored,
	},
	{
		id: "copies-event-id", assumed: "twice",
		turn: `{"dedupe_event_id": true}`, turned: "once",
		what:      "Two events of one device with the same `event_id` and time and different `insert_id`s are two.",
		source:    "A get-started page names event_id, time and device_id as a second key; Amplitude's own SDKs send several events with the same time.",
		otherwise: "Applications must not set `amplitude.event_id` to a constant.",
		send: func(ctx context.Context, p *probe, user string) error {
			same := event{"event_id": 1, "time": hoursAgo(1), "device_id": user + "-1"}
			return p.all(ctx, []event{exposure(user, flagKey, "a", same)}, []event{exposure(user, flagKey, "b", same)})
		},
		read: stored,
	},
	{
		id: "copies-identify", assumed: "once",
		turn: `{"dedupe_identify": false}`, turned: "twice",
		what:      "Copies of an `$identify` are also recognized by `insert_id`.",
		source:    "Not found; Amplitude's SDKs put insert_id on it.",
		otherwise: "Nothing changes: what the processor sends in an `$identify` can be repeated.",
		send: func(ctx context.Context, p *probe, user string) error {
			add := identify(user, user+" add", event{"$add": event{"check_amplitude_count": 1}})
			return p.all(ctx, []event{add}, []event{add})
		},
		read: func(a *activity) string { return times[number(a.properties["check_amplitude_count"])] },
	},
	{
		id: "all-or-nothing", assumed: "not stored",
		turn: `{"partial_requests": true}`, turned: "stored",
		what:      "No part of a request that gets a 400 is stored.",
		source:    "Amplitude's SDKs resend the events that the answer does not name.",
		otherwise: "Nothing changes: events are resent with the same insert_id.",
		send: func(ctx context.Context, p *probe, user string) error {
			a, err := p.send(ctx, exposure(user, flagKey, "a"), exposure(user, flagKey, "b", event{"time": "noon"}))
			return refused(a, err)
		},
		read: func(a *activity) string { return map[bool]string{true: "not stored", false: "stored"}[a.count() == 0] },
	},
	{
		id: "text-limit", assumed: "1024",
		turn: `{"string_limit": 1050}`, turned: "1050",
		what:      "Text longer than 1,024 characters is truncated.",
		source:    "HTTP V2 page.",
		otherwise: "The exporter truncates at the same length: nothing changes unless the limit is lower, which would truncate ids.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.must(ctx, exposure(user, flagKey, "a", event{"event_properties": event{propertyFlag: flagKey, "text": text(1100)}}))
		},
		read: func(a *activity) string { return length(a.value("text")) },
	},
	{
		id: "null-property", assumed: "ignored",
		turn: `{"null_properties": "set"}`, turned: "set",
		what:      "A plain user property that is null changes nothing.",
		source:    "Not found; Amplitude's SDKs leave null out.",
		otherwise: "Nothing changes: the exporter sends no null.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.must(ctx, identify(user, user+" null", event{"check_amplitude_null": nil, "check_amplitude_text": "a"}))
		},
		read: func(a *activity) string {
			_, there := a.properties["check_amplitude_null"]
			return map[bool]string{true: "set", false: "ignored"}[there]
		},
	},
	{
		id: "plain-last", assumed: "plain",
		turn: `{"plain_properties": "first"}`, turned: "operator",
		what:      "If an event has a plain user property and a `$set` of the same one, the plain one wins.",
		source:    "A comment in the source of Amplitude's TypeScript SDK, which names the server's code; the Identify page forbids mixing them.",
		otherwise: "An event with both, sent through the receiver `amplitude`, would set a different value than without a Collector. Amplitude's SDKs never send both.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.must(ctx, identify(user, user+" plain", event{"$set": event{"check_amplitude_text": "operator"}, "check_amplitude_text": "plain"}))
		},
		read: func(a *activity) string {
			text, _ := a.properties["check_amplitude_text"].(string)
			return text
		},
	},
	{
		id: "big-number", assumed: "exact",
		turn: `{"big_numbers": "float64"}`, turned: "rounded",
		what:      "Whole numbers beyond 2^53 are kept exactly.",
		source:    "Not found.",
		otherwise: "Large numbers in properties that `event_properties::include` allows lose digits: send them as text. Ids are always sent as text.",
		send: func(ctx context.Context, p *probe, user string) error {
			return p.must(ctx, exposure(user, flagKey, "a", event{"event_properties": event{propertyFlag: flagKey, "number": int64(beyondFloat)}}))
		},
		read: func(a *activity) string {
			return map[bool]string{true: "exact", false: "rounded"}[number(a.value("number")) == beyondFloat]
		},
	},

	{
		id: "invalid-key", assumed: "400 Invalid API key",
		turn: `{"invalid_key": "unauthorized"}`, turned: "401 Unauthorized",
		what:      "A key that is not of a project in the region gets a 400 that begins with \"Invalid API key\".",
		source:    "Reports by users of the Swift, Kotlin and TypeScript SDKs, which look for this text.",
		otherwise: "The exporter would still keep the events and retry, but the log would not name the key as the cause.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.post(ctx, request{body: p.payload([]event{p.plain("invalid-key")}, event{"api_key": "0000000000000000" + "check-amplitude-"})})
			return statusAnd(a, "Invalid API key"), err
		},
	},
	{
		id: "short-ids", assumed: "400 that names user_id",
		turn: `{"v2": {"short_id_mode": "strip"}}`, turned: "accepted",
		what:      "On HTTP V2, an id with fewer than 5 characters fails the request, even if the other id is good.",
		source:    "Reports by users of the Kotlin and TypeScript SDKs; the page says that the id is removed.",
		otherwise: "Nothing changes: the processor treats short ids as absent, and counts them.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.send(ctx, p.plain("short-ids", event{"user_id": "ab12", "device_id": p.id("short-ids")}))
			return naming(a, "events_with_invalid_id_lengths"), err
		},
	},
	{
		id: "short-ids-batch", assumed: "accepted",
		turn: `{"batch": {"short_id_mode": "reject"}}`, turned: "400 that names user_id",
		what:      "On the batch API, such an id is removed from its event.",
		source:    "Batch page; a comment in RudderStack's source.",
		otherwise: "Nothing changes, as above.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			short := p.plain("short-ids-batch", event{"user_id": "ab12", "device_id": p.id("short-ids-batch")})
			a, err := p.post(ctx, request{path: "/batch", body: p.payload([]event{short}, nil)})
			return naming(a, "events_with_invalid_id_lengths"), err
		},
	},
	{
		id: "id-length", assumed: "400 that names user_id",
		turn: `{"min_id_length": 4}`, turned: "accepted",
		what:      "The shortest id has 5 characters.",
		source:    "HTTP V2 page.",
		otherwise: "Set `min_id_length` of the exporter and `identity: {min_id_length: …}` of the processor to the actual length.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.send(ctx, p.plain("id-length", event{"user_id": p.run[len(p.run)-4:]}))
			return naming(a, "events_with_invalid_id_lengths"), err
		},
	},
	{
		id: "refused-id", assumed: "400 that names no event",
		turn: `{"invalid_id_indexed": true}`, turned: "400 that names user_id",
		what:      "The 400 for an id such as `none` does not say which event has it.",
		source:    "A report by a user of the TypeScript SDK, whose retries nothing else explains.",
		otherwise: "The exporter drops the event that is named, and saves a request.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.send(ctx, p.plain("refused-id", event{"user_id": "none", "device_id": p.id("refused-id")}))
			return naming(a, "events_with_invalid_fields"), err
		},
	},
	{
		id: "empty-id", assumed: "accepted",
		turn: `{"empty_id": "invalid"}`, turned: "400",
		what:      "An empty `device_id` next to a `user_id` counts as absent.",
		source:    "Samples of the data backfill page have it; the HTTP V2 page lists the empty string among the refused ids.",
		otherwise: "Nothing changes: the exporter leaves empty ids out.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.send(ctx, p.plain("empty-id", event{"device_id": ""}))
			return a.accepted(), err
		},
	},
	{
		id: "missing-ids", assumed: "device_id",
		turn: `{"missing_id_field": "user_id"}`, turned: "user_id",
		what:      "An event with neither id is named under `device_id`.",
		source:    "Not found.",
		otherwise: "Nothing changes: the exporter drops what any list names, and sends no event without an id.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.send(ctx, p.plain("missing-ids", event{"user_id": nil}))
			return onlyKey(a, "events_with_missing_fields"), err
		},
	},
	{
		id: "index-lists", assumed: "all",
		turn: `{"index_mode": "first"}`, turned: "the first",
		what:      "A 400 lists every event with an invalid field.",
		source:    "Batch page; the HTTP V2 page says the first of each field.",
		otherwise: "One more request for each further invalid event; nothing is lost.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			bad := p.plain("index-lists", event{"time": "noon"})
			a, err := p.send(ctx, bad, p.plain("index-lists"), bad)
			return map[int]string{0: a.accepted(), 1: "the first", 2: "all"}[len(indexes(a, "events_with_invalid_fields", "time"))], err
		},
	},
	{
		id: "copies-counted", assumed: "counted",
		turn: `{"dedupe_counts_as_ingested": false}`, turned: "not counted",
		what:      "`events_ingested` counts copies.",
		source:    "Not found.",
		otherwise: "The exporter may warn that fewer events were ingested than it sent, although none are lost.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			one := identify(p.id("copies-counted"), p.id("copies-counted"), event{"$set": event{"check_amplitude_text": "a"}})
			if err := p.must(ctx, one); err != nil {
				return "", err
			}
			a, err := p.send(ctx, one)
			return map[int64]string{0: "not counted", 1: "counted"}[number(a.fields["events_ingested"])], err
		},
	},
	{
		id: "gzip", assumed: "accepted",
		turn: `{"accept_gzip": false}`, turned: "400",
		what:      "Bodies may be compressed with gzip.",
		source:    "HTTP V2 page (\"after it decompresses a gzip-encoded body\"); Amplitude's mobile and browser SDKs do it.",
		otherwise: "Set `compression: none`.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.post(ctx, request{body: p.payload([]event{p.plain("gzip")}, nil), zip: true})
			return a.accepted(), err
		},
	},
	{
		id: "bytes", assumed: "accepted",
		turn: `{"v2": {"max_bytes": 900000}}`, turned: "413",
		what:      "A request of 1,000,000 bytes is not too large.",
		source:    "HTTP V2 page: \"under 1 MB\".",
		otherwise: "The exporter halves a request that gets a 413, and remembers the size. Lower `sending_queue::batch::max_size` to avoid such requests.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.post(ctx, request{body: padded(p.payload([]event{p.plain("bytes")}, nil), 1_000_000)})
			return a.accepted(), err
		},
	},
	{
		id: "bytes-unzipped", assumed: "413",
		turn: `{"limit_bytes_of": "wire"}`, turned: "accepted",
		what:      "The limit on bytes applies to the decompressed body.",
		source:    "The HTTP V2 page says so about the number of events.",
		otherwise: "Requests could be larger than those of the exporter.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.post(ctx, request{body: padded(p.payload([]event{p.plain("bytes-unzipped")}, nil), 2_000_000), zip: true})
			return a.accepted(), err
		},
	},
	{
		id: "errors-in-json", assumed: "JSON",
		turn: `{"html_errors": true}`, turned: "something else",
		what:      "A 413 has a JSON body.",
		source:    "HTTP V2 page.",
		otherwise: "Nothing changes: the exporter only looks at the status.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.post(ctx, request{body: padded(p.payload([]event{p.plain("errors-in-json")}, nil), 2_000_000)})
			return map[bool]string{true: "JSON", false: "something else"}[a.fields != nil], err
		},
	},
	{
		id: "form-type", assumed: "accepted",
		turn: `{"content_type": "reject"}`, turned: "400",
		what:      "JSON is accepted with the content type of a form, which `curl --data` sends.",
		source:    "The curl examples of Amplitude's documentation.",
		otherwise: "The sandbox accepts what Amplitude refuses: set `content_type: reject`. The exporter sends the content type of JSON.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.post(ctx, request{body: p.payload([]event{p.plain("form-type")}, nil), contentType: "application/x-www-form-urlencoded"})
			return a.accepted(), err
		},
	},
	{
		id: "duplicate-keys", assumed: "accepted",
		turn: `{"reject_duplicate_keys": true}`, turned: "400",
		what:      "A JSON object with a duplicate key is accepted.",
		source:    "Not found.",
		otherwise: "Nothing changes: the exporter never writes duplicate keys.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			body := p.payload([]event{p.plain("duplicate-keys")}, nil)
			a, err := p.post(ctx, request{body: append([]byte(`{"options":{},"options":{},`), body[1:]...)})
			return a.accepted(), err
		},
	},
	{
		id: "empty-events", assumed: "accepted",
		turn: `{"empty_events": "reject"}`, turned: "400",
		what:      "A request without events is accepted.",
		source:    "A report from 2020; an old page says that there must be at least one.",
		otherwise: "Nothing changes: the exporter never sends an empty request.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.send(ctx)
			return a.accepted(), err
		},
	},
	{
		id: "unknown-keys", assumed: "accepted",
		turn: `{"unknown_keys": "reject"}`, turned: "400",
		what:      "An unknown key in an event is ignored.",
		source:    "Requests from RudderStack that got a 200.",
		otherwise: "Events with such keys from SDKs are refused, with or without a Collector. Set `unknown_fields: reject` in the receiver `amplitude` so that the SDK finds out. The processor's events have no such keys.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.send(ctx, p.plain("unknown-keys", event{"check_amplitude": "a"}))
			return a.accepted(), err
		},
	},
	{
		id: "nesting", assumed: "accepted",
		turn: `{"reject_depth": true}`, turned: "400",
		what:      "Properties nested more than 40 levels deep do not fail the request.",
		source:    "The HTTP V2 page names the limit, but not what happens beyond it.",
		otherwise: "Nothing changes: the exporter leaves out what is nested more deeply.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			deep := any("a")
			for range 45 {
				deep = event{"a": deep}
			}
			a, err := p.send(ctx, p.plain("nesting", event{"event_properties": deep}))
			return a.accepted(), err
		},
	},
	{
		id: "firewall", assumed: "accepted", heavy: true,
		turn: `{"waf_patterns": ["<script"]}`, turned: "403",
		what:      "Properties with some HTML or SQL pass the firewall.",
		source:    "The HTTP V2 page mentions a 403 for content that a filter rejects, but not the filter.",
		otherwise: "The exporter narrows a 403 down to the event that causes it, and dead-letters it. Allow fewer properties (`event_properties::include`).",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.send(ctx, p.plain("firewall", event{"user_properties": event{"$set": event{"check_amplitude_text": "<script>alert(1)</script>' OR 1=1 --"}}}))
			return a.accepted(), err
		},
	},
	{
		id: "events-of-a-request", assumed: "accepted", heavy: true,
		turn: `{"strict_2000": true}`, turned: "413",
		what:      "A request may have exactly 2,000 events.",
		source:    "HTTP V2 page, \"up to 2,000\"; before November 2026 \"fewer than 2000\".",
		otherwise: "Nothing changes: the exporter sends 1,999 at most.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.send(ctx, p.many("events-of-a-request", 2000, 100)...)
			return a.accepted(), err
		},
	},
	{
		id: "throttling", assumed: "429 that names all events of the user", heavy: true,
		turn: `{"eps_window": "60s"}`, turned: "accepted",
		what:      "More than 30 events per second of one user, averaged over 30 seconds, get a 429 that names the user's events, including `$identify`.",
		source:    "HTTP V2 page; that `$identify` counts is from a report by Mozilla.",
		otherwise: "Without a list, the whole batch waits instead of only the user's events.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			events := p.many("throttling", 1000, 1)
			a, err := p.send(ctx, append(events, p.plain("throttling-other"))...)
			if named, _ := a.fields["throttled_events"].([]any); a.status == 429 && len(named) == len(events) {
				return "429 that names all events of the user", err
			}
			return a.accepted(), err
		},
	},
	{
		id: "throttled-count", assumed: "accepted", heavy: true,
		turn: `{"count_rejected": true}`, turned: "429",
		what:      "Events of a request that got a 429 do not count toward the user's rate.",
		source:    "Not found.",
		otherwise: "A throttled user's events would wait longer; the slow lane adapts on its own.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.send(ctx, p.many("throttled-count", 1000, 1)...)
			if err != nil || a.status != 429 {
				return "not throttled: " + a.accepted(), err
			}
			a, err = p.send(ctx, p.many("throttled-count", 1, 1)...)
			return a.accepted(), err
		},
	},
	{
		id: "validation-first", assumed: "400", heavy: true,
		turn: `{"throttle_before_validation": true}`, turned: "429",
		what:      "A request with an invalid event and a throttled user gets a 400.",
		source:    "Not found.",
		otherwise: "One more request; nothing is lost.",
		ask: func(ctx context.Context, p *probe) (string, error) {
			a, err := p.send(ctx, append(p.many("validation-first", 1000, 1), p.plain("validation-first", event{"time": "noon"}))...)
			return a.accepted(), err
		},
	},

	{
		id: "insert-id-window", what: "Copies are recognized for 7 days after the first was received.",
		source:    "HTTP V2 page, \"Event deduplication\"; 24 hours in 2016.",
		otherwise: "Events that wait in a queue, or are replayed, after the window may count twice. Send an event by hand, wait 8 days, send it again, and look at the user.",
	},
	{
		id: "free-of-volume", what: "`[Experiment] Exposure`, `[Experiment] Assignment`, `$exposure` and `$identify` count toward neither event volume nor monthly tracked users. Nothing is documented about impressions.",
		source:    "Event tracking and MTU pages; that `$exposure` is free follows from the transformation.",
		otherwise: "The product uses up event volume. Compare the usage page of the organization before and after a day.",
	},
	{
		id: "experiment-properties", what: "A project keeps 1,500 experiment user properties; others cannot be queried.",
		source:    "Event tracking page.",
		otherwise: "The warnings at 1,200 and 1,500 come too early or too late.",
	},
	{
		id: "property-updates", what: "Beyond 1,800 updates of a user's properties per hour, events are stored but the updates are silently dropped.",
		source:    "HTTP V2, Batch and Identify pages.",
		otherwise: "The processor sends at most one `$identify` per minute, person and flag after the first 30, so the limit only matters together with other senders.",
	},
	{
		id: "server-errors", what: "After a 500, 502 or 504, a request may have been stored; after a 503, it has not.",
		source:    "HTTP V2 page.",
		otherwise: "Nothing changes: events are resent with the same insert_id.",
	},
	{
		id: "project-rate", what: "A project over 50,000 events per second (HTTP V2; 100,000 on other endpoints) gets a 429 without lists.",
		source:    "SDK debugging page; the body is an inference.",
		otherwise: "With empty or different lists, the exporter does the same: no event is named, so the batch waits.",
	},
	{
		id: "daily-quota", what: "On the batch API, a user or device over 500,000 events in 24 hours gets a 429 that lists it under `exceeded_daily_quota_users` or `…_devices`.",
		source:    "Batch page.",
		otherwise: "The exporter treats such a user as throttled, and retries earlier than necessary.",
	},
	{
		id: "regions", what: "A key of one region is invalid in the other.",
		source:    "Reports by users of the Swift and TypeScript SDKs.",
		otherwise: "The log's hint would be wrong. Run `make check-amplitude` with the other REGION: no row gets an answer but `invalid-key`.",
	},
	{
		id: "silenced-devices", what: "Events of a device that Amplitude has silenced fail the request with a 400 that lists them.",
		source:    "HTTP V2 and Batch pages.",
		otherwise: "The exporter narrows the request down, with more requests.",
	},
}
