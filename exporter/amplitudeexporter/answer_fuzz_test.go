// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzInterpret: whatever an answer contains, the resulting actions are valid.
func FuzzInterpret(f *testing.F) {
	for _, body := range []string{
		``, `null`, `[]`, `{"code":200,"events_ingested":3}`, `<html><title>403 Forbidden</title></html>`,
		`{"code":400,"error":"Invalid API key: 0123456789abcdef"}`,
		`{"code":400,"error":"Invalid field values on some events","events_with_invalid_fields":{"time":[0,2,2,-1,9,1.5,"x"],"user_id":{}}}`,
		`{"code":400,"error":"Request missing required field","missing_field":"api_key"}`,
		`{"code":429,"throttled_events":[2,0],"throttled_users":{"u":31},"exceeded_daily_quota_devices":{"d":1e99}}`,
		`{"code":"200","events_ingested":null,"error":{"deep":[[[]]]}}`,
	} {
		for _, status := range []int{200, 400, 413, 429, 503} {
			f.Add(status, []byte(body), 3)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, n int) {
		n = max(1, min(n, 2000))
		o := interpret(answer{status: status, body: body, retryAfter: longestWait * 2}, n)
		require.LessOrEqual(t, o.wait, longestWait)
		require.GreaterOrEqual(t, o.wait, 0*longestWait)
		last := -1
		for _, r := range o.rejected {
			require.Greater(t, r.index, last, "each event is named once, in order")
			require.Less(t, r.index, n)
			last = r.index
		}
		for _, i := range o.throttled {
			require.True(t, i >= 0 && i < n)
		}
		if status >= 200 && status < 300 && !isPage(body) {
			require.Equal(t, actionDone, o.action, "accepted events are not sent again")
		} else {
			require.NotEqual(t, actionDone, o.action, "refused events are not forgotten")
		}
		if o.action == actionSift {
			require.NotZero(t, len(o.rejected)+len(o.throttled)+len(o.throttledIDs), "sifting removes something")
		}
	})
}
