// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// loopback only connects to this machine, whatever the code under test requests.
func loopback(t *testing.T) http.RoundTripper {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			t.Errorf("it dials %s", address)
			return nil, errors.New("not in a test")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// ask checks rows against a sandbox with the given behavior, and returns the table.
func ask(t *testing.T, turn string, o options) string {
	t.Helper()
	_, table := asked(t, turn, o)
	return table
}

// asked does the same and also returns the sandbox.
func asked(t *testing.T, turn string, o options) (s *sandbox.Server, table string) {
	t.Helper()
	if turn == "" {
		turn = "{}"
	}
	s = sandbox.New(t)
	transport := loopback(t)
	put, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL()+"/_sandbox/config", strings.NewReader(turn))
	require.NoError(t, err)
	response, err := (&http.Client{Transport: transport}).Do(put)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode, turn)
	o.apiKey, o.server, o.wait = "sandbox", s.URL(), time.Minute
	var out bytes.Buffer
	require.NoError(t, check(t.Context(), o, transport, &out))
	return s, out.String()
}

// TestAsAssumed: a sandbox with its defaults confirms every row.
func TestAsAssumed(t *testing.T) {
	table := ask(t, "", options{secretKey: "secret", heavy: true})
	for _, r := range rows {
		if r.asks() {
			assert.Regexp(t, `(?m)^`+r.id+` +as assumed +assumed: `, table)
		}
	}
	assert.Contains(t, table, ", 0 otherwise, 0 not asked, 0 without an answer")
	assert.NotContains(t, table, "secret")
}

// TestEachRowDetectsTheDifference: with its switch in the other position, a row finds the other answer.
func TestEachRowDetectsTheDifference(t *testing.T) {
	for _, r := range rows {
		if r.turn == "" {
			continue
		}
		t.Run(r.id, func(t *testing.T) {
			t.Parallel()
			o := options{secretKey: "secret", heavy: true, only: []string{r.id}}
			server, table := asked(t, r.turn, o)
			otherwise := `(?m)^` + r.id + ` +OTHERWISE +assumed: ` + r.assumed + `; found: ` + r.turned + `$`
			assert.Regexp(t, otherwise, table)
			assert.Contains(t, table, r.otherwise)
			if r.read != nil {
				assert.Regexp(t, otherwise, exportOf(t, server, table, o), "read back by the Export API")
			}
		})
	}
}

var runOf = regexp.MustCompile(`, run (\S+)\n`)

// exportOf reads a run back through the Export API of the sandbox, and returns the table.
func exportOf(t *testing.T, s *sandbox.Server, table string, o options) string {
	t.Helper()
	run := runOf.FindStringSubmatch(table)
	require.NotNil(t, run, table)
	o.apiKey, o.server, o.readRun = "sandbox", s.URL(), run[1]
	var out bytes.Buffer
	require.NoError(t, check(t.Context(), o, loopback(t), &out))
	return out.String()
}

// TestExport: what a run sent can also be read back through the Export API, without sending anything.
func TestExport(t *testing.T) {
	server, table := asked(t, "", options{secretKey: "secret"})
	before := len(server.Events(sandbox.Select{}))
	exported := exportOf(t, server, table, options{secretKey: "secret"})
	n := 0
	for _, r := range rows {
		if r.read != nil {
			n++
			assert.Regexp(t, `(?m)^`+r.id+` +as assumed`, exported)
		} else {
			assert.NotRegexp(t, `(?m)^`+r.id+` `, exported)
		}
	}
	assert.Contains(t, exported, fmt.Sprintf("%d as assumed, 0 otherwise, 0 not asked, 0 without an answer", n))
	assert.Len(t, server.Events(sandbox.Select{}), before)

	for run, want := range map[string]string{
		"20010203T04-01020304": "the Export API has nothing of the hours from 20010203T04 on",
		"01020304":             "RUN must be the run that a table names",
	} {
		o := options{apiKey: "sandbox", secretKey: "secret", server: server.URL(), readRun: run}
		require.ErrorContains(t, check(t.Context(), o, loopback(t), io.Discard), want)
	}
	o := options{apiKey: "a-key-of-another-project", secretKey: "secret", server: server.URL(), readRun: runOf.FindStringSubmatch(table)[1]}
	err := check(t.Context(), o, loopback(t), io.Discard)
	require.ErrorContains(t, err, "the Export API refuses the keys")
	assert.NotContains(t, err.Error(), o.apiKey)
}

// TestEverySwitchHasARow: a row covers each behavior of the sandbox, or there is a reason why none does.
func TestEverySwitchHasARow(t *testing.T) {
	unasked := map[string]string{
		"dedupe_window": "takes a week", "daily_quota": "takes half a million events", "daily_requires_spammy": "as daily_quota",
		"project_eps": "takes the project's whole rate", "project_lists": "as project_eps", "omit_empty": "as project_eps",
		"prop_update_limit": "leaves a user whose properties are frozen", "max_depth": "the row nesting asks whether anything is refused",
		"blocked_event_types": "is set in the project", "deleted_event_types": "is set in the project", "silenced_devices": "is set in the project",
		"json_body_newline": "matters to nobody", "starter_plan": "is a warning of the sandbox's own", "shared_device_users": "is a warning of the sandbox's own",
		"experiment_property_limit": "takes 1,500 of the project's properties",
	}
	turned := map[string]bool{}
	for _, r := range rows {
		if r.turn == "" {
			continue
		}
		var keys map[string]any
		require.NoError(t, json.Unmarshal([]byte(r.turn), &keys), r.id)
		for key := range keys {
			turned[key] = true
		}
	}
	behavior := reflect.TypeOf(sandbox.Behavior{})
	for i := range behavior.NumField() {
		key := behavior.Field(i).Tag.Get("json")
		assert.NotEqual(t, turned[key], unasked[key] != "", "%s is turned by a row, or has a reason why not, and not both", key)
	}
}

// TestWithoutSecretKey checks what the answers show, and says what is missing for the rest.
func TestWithoutSecretKey(t *testing.T) {
	table := ask(t, "", options{})
	assert.Regexp(t, `(?m)^gzip +as assumed`, table)
	assert.Regexp(t, `(?m)^copies +not asked +assumed: once; found: needs SECRET_KEY$`, table)
	assert.Regexp(t, `(?m)^firewall +not asked +assumed: accepted; found: needs HEAVY=1$`, table)
}

// TestUnexpected: what cannot be checked is reported as such, without the key.
func TestUnexpected(t *testing.T) {
	server := sandbox.New(t)
	var out bytes.Buffer
	o := options{apiKey: "a-key-of-another-project", secretKey: "secret", server: server.URL(), only: []string{"copies", "gzip", "invalid-key"}}
	require.NoError(t, check(t.Context(), o, loopback(t), &out))
	assert.Regexp(t, `(?m)^copies +NO ANSWER .* got a 400: .*Invalid API key: \*\*\*\*`, out.String())
	assert.Regexp(t, `(?m)^invalid-key +as assumed`, out.String())
	assert.NotContains(t, out.String(), o.apiKey)

	_, err := server.AddFaults(sandbox.Fault{Action: sandbox.FaultUnindexed400, Text: "no such project", Times: -1})
	require.NoError(t, err)
	out.Reset()
	require.NoError(t, check(t.Context(), o, loopback(t), &out))
	assert.Regexp(t, `(?m)^invalid-key +OTHERWISE .*found: 400 no such project`, out.String())
}

// TestNotReadBack: the program gives up if what was sent does not appear.
func TestNotReadBack(t *testing.T) {
	server := sandbox.New(t, sandbox.WithBehavior(func(b *sandbox.Behavior) { b.BlockedEventTypes = []string{eventExposure} }))
	var out bytes.Buffer
	o := options{apiKey: "sandbox", secretKey: "secret", server: server.URL(), only: []string{"copies"}, wait: time.Millisecond}
	require.NoError(t, check(t.Context(), o, loopback(t), &out))
	assert.Regexp(t, `(?m)^copies +NO ANSWER .*cannot be read back after 1ms`, out.String())
}

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		options options
		want    hosts
		wrong   string
	}{
		{options: options{apiKey: "k", region: "us"}, want: hosts{"https://api2.amplitude.com", "https://amplitude.com"}},
		{options: options{apiKey: "k", region: "eu"}, want: hosts{"https://api.eu.amplitude.com", "https://analytics.eu.amplitude.com"}},
		{options: options{apiKey: "k", region: "eu", server: "http://127.0.0.1:8585/"}, want: hosts{"http://127.0.0.1:8585", "http://127.0.0.1:8585"}},
		{options: options{apiKey: "k", region: "moon"}, wrong: `region must be us or eu (got "moon")`},
		{options: options{region: "us"}, wrong: "API_KEY must be the API key of a project for tests"},
		{options: options{apiKey: "k", region: "us", only: []string{"gzip", "regions"}}, wrong: `no row "regions" can be asked`},
	} {
		got, err := tc.options.hosts()
		if tc.wrong != "" {
			require.ErrorContains(t, err, tc.wrong)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, tc.want, got)
	}
}

// TestPageIsCurrent: docs/assumptions.md matches the rows.
func TestPageIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../docs/assumptions.md")
	require.NoError(t, err)
	assert.Equal(t, renderPage(), string(page), "run `go generate ./tools/assumptions`")
}

// TestPageShowsWholeSwitches: a switch on the page, put into braces, is the one that turns the row's answer.
func TestPageShowsWholeSwitches(t *testing.T) {
	for i := range rows {
		if rows[i].turn == "" {
			continue
		}
		var want, shown map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(rows[i].turn), &want), rows[i].id)
		require.NoError(t, yaml.Unmarshal([]byte("{"+strings.Trim(shownTurn(rows[i].turn), "`")+"}"), &shown), rows[i].id)
		assert.Equal(t, want, shown, rows[i].id)
	}
}
