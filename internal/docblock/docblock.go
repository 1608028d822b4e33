// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package docblock updates the generated blocks of a page that people write. A block is enclosed in two comments:
//
//	<!-- written by make bench: memory -->
//	...
//	<!-- end of memory -->
package docblock // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"

import (
	"fmt"
	"os"
	"strings"
)

// Renew replaces the content of a named block in a file; command is the one that writes it. It fails unless the file has
// exactly one such block.
func Renew(path, command, name, text string) error {
	page, err := os.ReadFile(path) //nolint:gosec // the caller's page
	if err != nil {
		return err
	}
	renewed, err := replace(string(page), command, name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(renewed), 0o644) //nolint:gosec // a page
}

func replace(page, command, name, text string) (string, error) {
	begin, end := fmt.Sprintf("<!-- written by %s: %s -->\n", command, name), fmt.Sprintf("<!-- end of %s -->", name)
	before, rest, found := strings.Cut(page, begin)
	_, after, ended := strings.Cut(rest, end)
	switch {
	case !found, !ended:
		return "", fmt.Errorf("there is no block %q: it begins with %s and ends with %s", name, strings.TrimSpace(begin), end)
	case strings.Contains(after, begin):
		return "", fmt.Errorf("there are two blocks %q", name)
	}
	return before + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + after, nil
}
