// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/reference"

import (
	"go/doc"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	// specialKey is a line of a comment about a key of a foreign struct that has a special meaning here.
	specialKey = regexp.MustCompile(`(?m)^\s+- ([a-z_]+): (.*)$`)
	// compound is a Go name of several words.
	compound = regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*[a-z0-9][A-Z][A-Za-z0-9]*\b|\b[A-Z]{2,}[a-z][A-Za-z0-9]*\b`)
	// optional appears in the comments of most keys of configtls.
	optional = regexp.MustCompile(` \(optional[^)]*\)`)
	// dotted is the start of a Go name of a nested field whose end has already been replaced by its key.
	dotted = regexp.MustCompile("[A-Z][A-Za-z0-9]*\\.`")
	// version matches since when something is deprecated.
	version = regexp.MustCompile(`^\[v[0-9.]+\] `)
)

// meaning turns the comment of a field into a sentence for readers who know its key rather than its Go name. Foreign
// comments may be long, so only their first sentence is used.
func meaning(field, comment string, keys map[string]string, ours bool) (text string, deprecated bool) {
	if ours {
		comment, _, _ = strings.Cut(strings.Join(strings.Fields(comment), " "), " Of its keys, ")
	} else {
		if _, instead, found := strings.Cut(comment, "Deprecated: "); found {
			comment, deprecated = "Deprecated: "+version.ReplaceAllString(instead, ""), true
		}
		if _, after, found := strings.Cut(comment, "\n"+field+" "); found { // what came before is history
			comment = field + " " + after
		}
		comment = new(doc.Package).Synopsis(comment)
	}
	text = optional.ReplaceAllString(withoutName(field, comment), "")
	text = compound.ReplaceAllStringFunc(text, func(name string) string {
		if key := keys[name]; key != "" {
			return "`" + key + "`"
		}
		return name
	})
	text = dotted.ReplaceAllStringFunc(text, func(prefix string) string {
		if key := keys[strings.TrimSuffix(prefix, ".`")]; key != "" {
			return "`" + key + "::"
		}
		return prefix
	})
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return "", deprecated
	}
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return string(unicode.ToUpper(first)) + text[size:], deprecated
}

// withoutName removes the Go name, and a linking verb after it, from the start of a comment: "Region is where the
// project is" becomes "where the project is", "DryRun does everything" becomes "does everything".
func withoutName(field, comment string) string {
	name, rest, _ := strings.Cut(comment, " ")
	if name != field && compound.FindString(name) != name {
		return comment
	}
	verb, after, _ := strings.Cut(rest, " ")
	switch {
	case verb == "is" || verb == "are":
		return after
	case strings.HasSuffix(verb, "s"), verb == "the", verb == "a", compound.MatchString(name):
		return rest
	default: // the name is a word of the sentence
		return comment
	}
}

// special gives keys of a section the meaning that a comment in this repository lists for them.
func special(section *key, comment string) {
	for _, line := range specialKey.FindAllStringSubmatch(comment, -1) {
		for _, k := range section.keys {
			if k.name == line[1] {
				k.meaning = line[2]
			}
		}
	}
}
