// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

var update = flag.Bool("update", false, "write golden files and generated documentation instead of comparing with them")

const compatibilityPage = "../../docs/sdk-compatibility.md"

// reasons explain our answer where the SDKs disagree.
var reasons = map[string]string{
	"exposure C021":             "Only a boolean is a default marker; the number 1 is none, as in Go and Java.",
	"exposure C036":             "`0` is a variant key like any other; only PHP takes it for nothing.",
	"exposure C042":             "The whole metadata is kept; Python loses the event's properties over the JSON null in it.",
	"exposure C085":             "A flag key is text, also if it looks like a number; PHP turns it into one.",
	"exposure C098":             "Flag keys and variants are kept byte for byte: they must equal what the experiment is configured with. Only ids are trimmed, as Amplitude does.",
	"exposure C100":             "A property name of that length would be cut, and cut names can merge two flags: rejected (`long_flag_key`), counted and explained.",
	"exposure C112":             "Amplitude refuses an event without an id: rejected (`no_id`), counted and explained.",
	"exposure C114":             "As without ids.",
	"exposure C130":             "No flag, no record, no event.",
	evaluatedExposure + " C021": "Only a boolean is a default marker; the number 1 is none, as in Go and Java.",
	evaluatedExposure + " C032": "Without a variant there is nothing to be exposed to, and an exposure of none takes the user out of the experiment: no event.",
	evaluatedExposure + " C036": "`0` is a variant key like any other; only PHP takes it for nothing.",
	evaluatedExposure + " C042": "The whole metadata is kept; Python loses the event's properties over the JSON null in it.",
	evaluatedExposure + " C085": "A flag key is text, also if it looks like a number; PHP turns it into one. The order is that of the result.",
	evaluatedExposure + " C098": "Flag keys and variants are kept byte for byte. Only ids are trimmed, as Amplitude does.",
	evaluatedExposure + " C100": "A property name of that length would be cut: the flag is left out (`long_flag_key`), counted and explained.",
	evaluatedExposure + " C112": "Amplitude refuses an event without an id: rejected (`no_id`), counted and explained.",
	evaluatedExposure + " C114": "As without ids.",
	evaluatedExposure + " C130": "An empty result tells nothing: skipped (`no_flags`) and counted.",

	"assignment C021": "Only a boolean is a default marker; the number 1 is none, as in Go and Java.",
	"assignment C030": "Without a key the value names the variant, as it does for exposures in every SDK; leaving the flag out would hide an assignment.",
	"assignment C032": "A flag without a variant is unassigned: `off`, as Amplitude's documentation says, and its user property is unset.",
	"assignment C034": "As above: unassigned.",
	"assignment C036": "`0` is a variant key like any other; only PHP takes it for nothing.",
	"assignment C098": "Flag keys and variants are kept byte for byte: they must equal what the experiment is configured with. Only ids are trimmed, as Amplitude does.",
	"assignment C100": "A property name of that length would be cut, and cut names can merge two flags: rejected (`long_flag_key`), counted and explained.",
	"assignment C112": "Amplitude refuses an event without an id: rejected (`no_id`), counted and explained.",
	"assignment C114": "As without ids.",
	"assignment C130": "An empty result tells nothing: skipped (`no_flags`) and counted, as in most SDKs.",
}

// notExposed are cases in which the SDKs expose a flag without a variant; the vectors hold our answer for an explicit
// exposure.
var notExposed = map[string][]sdkAnswer{
	"C032": {{SDKs: []string{"node", "go", "python", "ruby", "php", "jvm"}, Value: []any{
		map[string]any{"event_properties": map[string]any{amplitude.PropertyFlagKey: "flag-a"}},
	}}},
}

var headings = map[string]string{
	"exposure": "exposures", evaluatedExposure: "exposures from `evaluate()`", "assignment": "assignments",
}

// sequenceReasons explain why our steps differ from those of the SDKs.
var sequenceReasons = map[string]string{
	"S04": "A, B, A: without the last A the user property would stay at B.",
	"S05": "Another UTC day, so another event: the day is the calendar's, not 24 hours from the first.",
	"S07": "Another UTC day.",
	"S09": "Another UTC day.",
	"S19": "Groups are part of who was evaluated.",
	"S21": "For exposures each flag is remembered by itself: flag a does not change when flag b joins.",
	"S23": "Key and variant are kept apart, so the two results do not look the same.",
	"S25": "` on ` is not `on`; ids are trimmed, so the third step is the first again, and for that reason a change back.",
	"S27": "Only the exposure of the mutual exclusion group changed; the one of flag a is a repeat.",
	"S31": "Back from unassigned to A is a change: without it the user property would stay unset.",
	"S33": "Another UTC day at the second and fourth step.",
	"S35": "User b goes back from B to A, which is a change.",
}

// TestSDKCompatibilityPage keeps docs/sdk-compatibility.md up to date: each case in which the SDKs disagree, and each
// sequence, with the processor's answer.
func TestSDKCompatibilityPage(t *testing.T) {
	page, err := os.ReadFile(compatibilityPage)
	require.NoError(t, err)
	want := replaceBlock(t, page, "cases", casesTable(t))
	want = replaceBlock(t, want, "sequences", sequencesTable(t))
	if *update {
		require.NoError(t, os.WriteFile(compatibilityPage, want, 0o600))
		page = want
	}
	wanted, found := strings.Split(string(want), "\n"), strings.Split(string(page), "\n")
	for i, line := range wanted {
		if i < len(found) {
			require.Equal(t, line, found[i], "run the test with -update")
		}
	}
	assert.Len(t, found, len(wanted), "run the test with -update")
}

func replaceBlock(t *testing.T, page []byte, name, content string) []byte {
	t.Helper()
	begin, end := []byte("<!-- begin "+name+" -->\n"), []byte("<!-- end "+name+" -->")
	from, to := bytes.Index(page, begin), bytes.Index(page, end)
	require.Positive(t, from)
	require.Greater(t, to, from)
	return bytes.Join([][]byte{page[:from], begin, []byte(content), page[to:]}, nil)
}

func casesTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, kind := range []string{"exposure", evaluatedExposure, "assignment"} {
		fmt.Fprintf(&b, "\n### %s\n\n| case | SDKs | ours | why |\n|---|---|---|---|\n", headings[kind])
		vectors := kind
		if kind == evaluatedExposure {
			vectors = "exposure"
		}
		for _, tc := range readVectors(t, vectors) {
			if answer, ok := notExposed[tc.ID]; ok && kind == evaluatedExposure {
				tc.Expected, tc.SDKAnswers = nil, answer
			}
			if tc.Expected != nil {
				continue
			}
			why := reasons[kind+" "+tc.ID]
			require.NotEmpty(t, why, "%s %s (%s) needs a reason", kind, tc.ID, tc.Description)
			events, _ := tc.ours(t, kind)
			ours := make([]string, 0, len(events))
			for _, event := range events {
				ours = append(ours, brief(event))
			}
			if len(ours) == 0 {
				ours = []string{"no event"}
			}
			answers := make([]string, 0, len(tc.SDKAnswers))
			for _, answer := range tc.SDKAnswers {
				answers = append(answers, strings.Join(answer.SDKs, ", ")+": "+briefAnswer(answer.Value))
			}
			fmt.Fprintf(&b, "| %s: %s | %s | %s | %s |\n", tc.ID, tc.Description, strings.Join(answers, "<br>"), strings.Join(ours, "; "), why)
		}
	}
	return b.String() + "\n"
}

// briefAnswer renders the answer of the SDKs to a case.
func briefAnswer(answer any) string {
	switch answer := answer.(type) {
	case string:
		return answer
	case []any:
		if len(answer) == 0 {
			return "no event"
		}
		events := make([]string, 0, len(answer))
		for _, event := range answer {
			events = append(events, brief(event))
		}
		return strings.Join(events, "; ")
	default:
		return brief(answer)
	}
}

// brief renders the properties of an event, without empty operators.
func brief(event any) string {
	m := event.(map[string]any)
	told := map[string]any{}
	if properties := m["event_properties"].(map[string]any); len(properties) > 0 {
		told["event"] = properties
	}
	if operators, ok := m["user_properties"].(map[string]any); ok {
		for operator, properties := range operators {
			if properties := properties.(map[string]any); len(properties) > 0 {
				told[operator] = properties
			}
		}
	}
	text, err := json.Marshal(told)
	if err != nil {
		return err.Error()
	}
	short := strings.NewReplacer(strings.Repeat("k", 1100), "k…", strings.Repeat("v", 1100), "v…").Replace(string(text))
	for _, letter := range []string{"k", "v"} {
		for strings.Contains(short, strings.Repeat(letter, 100)) {
			short = strings.ReplaceAll(short, strings.Repeat(letter, 100), "…")
		}
	}
	for strings.Contains(short, "……") {
		short = strings.ReplaceAll(short, "……", "…")
	}
	return "`" + strings.ReplaceAll(short, "|", `\|`) + "`"
}

type sequence struct {
	ID          string `json:"id"`
	Description string `json:"description"`
	BaseMS      int64  `json:"base_ms"`
	Filter      struct {
		Capacity int `json:"capacity"`
	} `json:"filter"`
	Steps []struct {
		AtMS     int64          `json:"at_ms"`
		User     map[string]any `json:"user"`
		Variants orderedMap     `json:"variants"`
	} `json:"steps"`
	SDKTracked map[string][]struct {
		SDKs    []string `json:"sdks"`
		Tracked string   `json:"tracked"`
	} `json:"sdk_tracked"`
}

func readSequences(t testing.TB) []sequence {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "vectors", "sequences.json"))
	require.NoError(t, err)
	var file struct {
		Sequences []sequence `json:"sequences"`
	}
	require.NoError(t, json.Unmarshal(body, &file))
	require.NotEmpty(t, file.Sequences)
	return file.Sequences
}

// ours returns our answer for each step in the notation of the vectors.
func (s *sequence) ours(t testing.TB, kind string) string {
	t.Helper()
	emit := "assignment"
	if kind == evaluatedExposure {
		emit = "exposures"
	}
	r := start(t, configOf(t, fmt.Sprintf("{identity: {min_id_length: 1}, dedup: {max_entries: %d}, assignment: {emit: %s}}", s.Filter.Capacity, emit)), nil)
	steps := make([]string, 0, len(s.Steps))
	for _, step := range s.Steps {
		sent := 0
		for _, out := range r.send(t, vectorBatch(t, kind, step.User, step.Variants, s.BaseMS+step.AtMS)) {
			if out.EventName() != amplitude.EventIdentify { // in addition to the events, and free of event volume
				sent++
			}
		}
		switch {
		case sent == 0:
			steps = append(steps, "-")
		case kind != "assignment":
			steps = append(steps, fmt.Sprintf("T%d", sent))
		default:
			steps = append(steps, "T")
		}
	}
	return strings.Join(steps, " ")
}

func sequencesTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("\n| sequence | kind | SDKs | ours | why it differs |\n|---|---|---|---|---|\n")
	for _, s := range readSequences(t) {
		for _, kind := range []string{"assignment", "exposure", evaluatedExposure} {
			ours := s.ours(t, kind)
			same := true
			sdks := s.SDKTracked[kind]
			if kind == evaluatedExposure {
				sdks = s.SDKTracked["exposure"]
			}
			answers := make([]string, 0, len(sdks))
			for _, tracked := range sdks {
				same = same && tracked.Tracked == ours
				answers = append(answers, strings.Join(tracked.SDKs, ", ")+": "+tracked.Tracked)
			}
			why := ""
			if !same {
				if why = sequenceReasons[s.ID+" "+kind]; why == "" {
					why = sequenceReasons[s.ID]
				}
				require.NotEmpty(t, why, "%s (%s, %s): ours is %s, SDKs %v", s.ID, s.Description, kind, ours, answers)
			}
			fmt.Fprintf(&b, "| %s: %s | %s | %s | %s | %s |\n", s.ID, s.Description, kind, strings.Join(answers, "<br>"), ours, why)
		}
	}
	return b.String() + "\n"
}
