// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension/sandbox"

// fault is one entry of the fault script.
type fault struct{}
