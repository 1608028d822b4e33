// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/reference"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
)

// newestFile pins the core that we ship; go.mod has the oldest one that the components work with.
const newestFile = "newest.mod"

// coreModule stands for the core, whose modules have one version.
const coreModule = "go.opentelemetry.io/collector/confmap"

var newestVersion = regexp.MustCompile(`(?m)^\s+` + regexp.QuoteMeta(coreModule) + ` (v\S+)`)

// checkCore returns an error unless this program is built with the core that we ship: the keys of a configuration, and what
// they mean, are partly the core's.
func checkCore(root string) error {
	content, err := os.ReadFile(filepath.Join(root, newestFile)) //nolint:gosec // a file of this repository
	if err != nil {
		return err
	}
	match := newestVersion.FindSubmatch(content)
	if match == nil {
		return fmt.Errorf("%s does not require %s", newestFile, coreModule)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("the program does not know what it is built from")
	}
	for _, module := range info.Deps {
		if module.Path == coreModule && module.Version == string(match[1]) {
			return nil
		}
	}
	return fmt.Errorf("the reference is of the core that we ship (%s %s), and this program is built with another one: run `make generate`, or go run -modfile=%s", coreModule, match[1], newestFile)
}
