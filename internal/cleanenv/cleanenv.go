// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package cleanenv keeps the caller's environment away from demonstrations, tests and benchmarks: an exported API key,
// a proxy or a setting of the Go runtime must not change what they do. variables.txt lists the variables; the tests in
// JavaScript read the same file.
package cleanenv // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"

import (
	_ "embed"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

//go:embed variables.txt
var variables string

// patterns are the lines of variables.txt that name something.
var patterns = slices.DeleteFunc(strings.Split(variables, "\n"), func(line string) bool {
	return line == "" || strings.HasPrefix(line, "#")
})

// defaultGCPercent is the runtime's own without GOGC.
const defaultGCPercent = 100

// Environ returns the environment, like [os.Environ], for a program that this one starts: the caller's without the
// listed variables, plus more, each NAME=value. The last value of a name wins.
//
// Compilers and package managers get the caller's environment unchanged, because they may need its proxy.
func Environ(more ...string) []string {
	return append(slices.DeleteFunc(os.Environ(), isListed), more...)
}

// Process removes the listed variables from this process, and undoes what they did to the Go runtime as it started.
func Process() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); isListed(variable) {
			_ = os.Unsetenv(name) // cannot fail for an existing name
		}
	}
	debug.SetGCPercent(defaultGCPercent)
	debug.SetMemoryLimit(math.MaxInt64)
}

func isListed(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	name = strings.ToUpper(name)
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		beginning, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, beginning)
	})
}
