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
	"exposure C021":             "Only a boolean counts as a default marker, as in Go and Java; the number 1 doesn't.",
	"exposure C036":             "`0` is a variant key like any other; PHP alone treats it as empty.",
	"exposure C042":             "The metadata is kept in full; in Python, the JSON null in it costs the event all its properties.",
	"exposure C085":             "A flag key is a string even if it looks like a number; PHP turns it into one.",
	"exposure C098":             "Flag keys and variants are kept byte for byte, since they must match the experiment's configuration. Only ids are trimmed, as in Amplitude.",
	"exposure C100":             "Amplitude would truncate a property name of that length, and two truncated flags could become one: rejected (`long_flag_key`).",
	"exposure C112":             "Amplitude refuses an event without an id: rejected (`no_id`).",
	"exposure C114":             "Same as without ids.",
	"exposure C130":             "Without a flag there is no record, and so no event.",
	evaluatedExposure + " C021": "Only a boolean counts as a default marker, as in Go and Java; the number 1 doesn't.",
	evaluatedExposure + " C032": "Without a variant the user was exposed to nothing, and an exposure without a variant would take them out of the experiment: no event.",
	evaluatedExposure + " C036": "`0` is a variant key like any other; PHP alone treats it as empty.",
	evaluatedExposure + " C042": "The metadata is kept in full; in Python, the JSON null in it costs the event all its properties.",
	evaluatedExposure + " C085": "A flag key is a string even if it looks like a number; PHP turns it into one. The events are in the order of the result.",
	evaluatedExposure + " C098": "Flag keys and variants are kept byte for byte. Only ids are trimmed, as in Amplitude.",
	evaluatedExposure + " C100": "Amplitude would truncate a property name of that length: the flag is left out (`long_flag_key`).",
	evaluatedExposure + " C112": "Amplitude refuses an event without an id: rejected (`no_id`).",
	evaluatedExposure + " C114": "Same as without ids.",
	evaluatedExposure + " C130": "An empty result is skipped (`no_flags`).",

	"assignment C021": "Only a boolean counts as a default marker, as in Go and Java; the number 1 doesn't.",
	"assignment C030": "Without a key, the value is the variant, as it is for exposures in every SDK; leaving the flag out would hide an assignment.",
	"assignment C032": "A flag without a variant is unassigned: `off`, as Amplitude's documentation says, and its user property is unset.",
	"assignment C034": "Unassigned, as above.",
	"assignment C036": "`0` is a variant key like any other; PHP alone treats it as empty.",
	"assignment C098": "Flag keys and variants are kept byte for byte, since they must match the experiment's configuration. Only ids are trimmed, as in Amplitude.",
	"assignment C100": "Amplitude would truncate a property name of that length, and two truncated flags could become one: rejected (`long_flag_key`).",
	"assignment C112": "Amplitude refuses an event without an id: rejected (`no_id`).",
	"assignment C114": "Same as without ids.",
	"assignment C130": "An empty result is skipped (`no_flags`), as in most SDKs.",
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
	"S05": "A different UTC day, so a new event: the day is the calendar day, not 24 hours from the first event.",
	"S07": "A different UTC day.",
	"S09": "A different UTC day.",
	"S19": "The groups are part of who was evaluated.",
	"S21": "Exposures are remembered flag by flag: flag a doesn't change when flag b is added.",
	"S23": "Key and variant are kept apart, so the two results differ.",
	"S25": "` on ` is not `on`, so the second step is a new result; ids are trimmed, so the third step repeats the first, and only a `$identify` is sent, which sets the property back.",
	"S27": "Only the exposure for the mutual exclusion group changed; the one for flag a is a repeat.",
	"S31": "The exposure to an unassigned variant is an event too, an un-exposure. The third step repeats the first event, so only a `$identify` is sent, which sets the property again.",
	"S33": "The second and the fourth step are on a new UTC day.",
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
