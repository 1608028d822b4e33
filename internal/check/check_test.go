// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
)

func endpoint(address string) error {
	_, err := check.Endpoint("endpoint", address)
	return err
}

func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		name string
		got  error
		want string
	}{
		{"a word", check.OneOf("api", "batch", "http_v2", "batch"), ""},
		{"neither of two words", check.OneOf("api", "v1", "http_v2", "batch"), "`api` must be http_v2 or batch (got \"v1\")"},
		{"none of three words", check.OneOf("id", "", "a", "b", "c"), "`id` must be a, b or c (got \"\")"},
		{"not the only word", check.OneOf("id", "b", "a"), "`id` must be a (got \"b\")"},
		{"another case", check.OneOf("id", "A", "a"), "`id` must be a (got \"A\")"},
		{"one", check.Positive("n", 1), ""},
		{"zero is not positive", check.Positive("n", 0), "`n` must be positive (got 0)"},
		{"a fraction", check.Positive("n", 0.25), ""},
		{"a duration", check.Positive("wait", -time.Second), "`wait` must be positive (got -1s)"},
		{"zero", check.NotNegative("n", 0), ""},
		{"negative", check.NotNegative("n", -0.5), "`n` must not be negative (got -0.5)"},
		{"not a number", check.NotNegative("n", math.NaN()), "`n` must not be negative (got NaN)"},
		{"the lowest", check.Between("n", 1, 1, 5), ""},
		{"the highest", check.Between("n", 5, 1, 5), ""},
		{"too low", check.Between("n", 0, 1, 5), "`n` must be between 1 and 5 (got 0)"},
		{"too high", check.Between("wait", time.Minute, 0, time.Second), "`wait` must be between 0s and 1s (got 1m0s)"},
		{"names", check.Names("names", []string{"a", "A", "a "}), ""},
		{"no names", check.Names("names", nil), ""},
		{"a blank name", check.Names("names", []string{"a", " "}), "`names` must not contain a blank entry (got \" \")"},
		{"a name twice", check.Names("names", []string{"a", "b", "a"}), "`names` must not contain a duplicate entry (got \"a\")"},
		{"an endpoint", endpoint("localhost:0"), ""},
		{"an endpoint without a port", endpoint("localhost"), "endpoint must be host:port (got \"localhost\")"},
		{"an endpoint with the name of a port", endpoint("[::1]:http"), "endpoint must end in a port from 0 to 65535 (got \"[::1]:http\")"},
		{"an endpoint with too large a port", endpoint(":65536"), "endpoint must end in a port from 0 to 65535 (got \":65536\")"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.want == "" {
				assert.NoError(t, tc.got)
				return
			}
			assert.EqualError(t, tc.got, tc.want)
		})
	}
}
