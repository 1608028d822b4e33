// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command usage is `make bench BENCH=-h`: it prints the flags of the benchmark, without a build of it.
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/bench/usage"

import (
	"os"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
)

func main() {
	_, _ = cmdline.Parse([]string{"-h"}, os.Stdout) // the only error is that help was asked for
}
