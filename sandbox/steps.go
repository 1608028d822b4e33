// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import "sync/atomic"

// counted is where tests count the steps that a request takes under the lock; nil otherwise.
var counted atomic.Pointer[atomic.Int64]

// steps counts n compares, copies or probes.
func steps(n int) {
	if c := counted.Load(); c != nil {
		c.Add(int64(n))
	}
}
