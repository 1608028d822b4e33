// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"go.opentelemetry.io/collector/component"
)

// pathOwners are the exporters of this process by dead letter file, from their creation on.
type pathOwners struct {
	mu     sync.Mutex
	owners map[*amplitudeExporter]pathOwner
}

type pathOwner struct {
	id   component.ID
	path string
}

var deadLetterPaths = pathOwners{owners: map[*amplitudeExporter]pathOwner{}}

// take refuses a path that another exporter uses. One with the same name is the same exporter before a reload.
func (p *pathOwners) take(x *amplitudeExporter, path string) error {
	if path == "" {
		return nil
	}
	path = realPath(path)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.owners {
		if other.id != x.set.ID && sameFile(other.path, path) {
			return fmt.Errorf("`dead_letter::path` is also used by exporter %q, but each exporter needs its own file: the letters of two projects in one file cannot be replayed (got %q)", other.id, path)
		}
	}
	p.owners[x] = pathOwner{x.set.ID, path}
	return nil
}

func (p *pathOwners) release(x *amplitudeExporter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.owners, x)
}

// realPath resolves the existing part of a path.
func realPath(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(realPath(parent), filepath.Base(path))
}

func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}
