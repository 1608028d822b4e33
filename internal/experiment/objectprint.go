// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"encoding/json"
	"strings"
)

// hasPrintMark reports whether a text has any of the characters typical of printed objects, or is one of the few
// printed objects without any; most variants are neither, and skip all other checks.
func hasPrintMark(text string) bool {
	if isUnmarkedPrint(text) {
		return true
	}
	var mark byte
	for i := range len(text) {
		mark |= printMark[text[i]]
	}
	return mark != 0
}

// printMark marks the characters of which every printed object has at least one: see [printForms].
var printMark = func() (marks [256]byte) {
	for _, c := range []byte(`{[("<@.&`) {
		marks[c] = 1
	}
	return marks
}()

// isObjectPrint reports whether a text is what a language prints for an object, list or map that an application turned
// into text: content, not the name of a variant. Limits on attribute values truncate such text, so a prefix that
// nothing else has is enough. objectprint_test.go lists real ones in each language, and similar names.
func isObjectPrint(text string) bool {
	if !hasPrintMark(text) {
		return false
	}
	text = strings.TrimPrefix(strings.TrimSpace(text), "&") // a Go pointer
	for _, form := range printForms {
		if form(text) {
			return true
		}
	}
	return false
}

// printForms are the forms of printed objects.
var printForms = [...]func(text string) bool{
	isUnmarkedPrint, isBracedPrint, isListPrint, isTuplePrint, isAnglePrint, isCallPrint, isNamedBodyPrint, isReferencePrint, isTypeName,
}

// isUnmarkedPrint: Array of PHP, Instance of 'Layout' of Dart, table: 0x55d0c8 of Lua.
func isUnmarkedPrint(text string) bool {
	return text == "Array" || hasAnyPrefix(text, "Instance of '", "table: 0x")
}

// isBracedPrint: {"a":1} of JSON, {'a': 1} of Python, {a=1} of Java, {:a=>1} of Ruby, { a = 1 } of .NET, {1 2} of Go, %{a: 1} and
// %Layout{a: 1} of Elixir, #{a => 1} of Erlang.
func isBracedPrint(text string) bool {
	if kind, found := strings.CutPrefix(text, "%"); found {
		name, _ := cutName(kind, '{')
		return name != "" || strings.HasPrefix(kind, "{")
	}
	if strings.HasPrefix(text, "#{") {
		return true
	}
	return enclosed(text, '{', '}') || hasAnyPrefix(text, `{"`, `{'`, `{:`)
}

// isListPrint: ["a"] of JSON, ['a', 'b'] of Python, [a, b] of Java, [:a, :b] of Ruby, [a b] of Go. One word in brackets may
// be a name, unless it is a value of JSON.
func isListPrint(text string) bool {
	if hasAnyPrefix(text, `["`, `['`, "[{", "[[", "[:") || text == "[]" {
		return true
	}
	return enclosed(text, '[', ']') && (strings.ContainsAny(text, ", ") || json.Valid([]byte(text)))
}

// isTuplePrint: ('a', 1) of Python.
func isTuplePrint(text string) bool {
	return hasAnyPrefix(text, "('", `("`) || (enclosed(text, '(', ')') && strings.Contains(text, ", "))
}

// isAnglePrint: <app.Layout object at 0x7f2d> of Python, #<Layout:0x0000> of Ruby, <nil> of Go.
func isAnglePrint(text string) bool {
	return enclosed(strings.TrimPrefix(text, "#"), '<', '>') || strings.HasPrefix(text, "#<")
}

// isCallPrint: Value(innerObject=3) of Java with Lombok, Layout(columns=3) of Kotlin and Python, OrderedDict([('a', 1)]),
// Decimal('1.5') and datetime.date(2026, 1, 1) of Python, Struct(StructValue { fields: {} }) of Rust, HASH(0x55d0c8) of Perl, and
// Map(a -> 1), List(1, 2) and Some(a) of Scala, Optional(a) of Swift.
func isCallPrint(text string) bool {
	name, inside := cutName(text, '(')
	if name == "" {
		return false
	}
	if word, _ := cutName(inside, '='); word != "" {
		return true
	}
	if class, _ := cutName(inside, '{'); class != "" && class[0] >= 'A' && class[0] <= 'Z' {
		return true
	}
	switch name {
	case "Map", "List", "Vector", "Set", "Seq", "ArrayBuffer", "Some", "Optional":
		return strings.HasSuffix(inside, ")")
	case "HASH", "ARRAY":
		return strings.HasPrefix(inside, "0x")
	}
	inside = strings.TrimSuffix(inside, ")")
	return hasAnyPrefix(inside, "'", `"`, "[", "{", "(", "<") || (strings.Contains(name, ".") && strings.Contains(inside, ", "))
}

// isNamedBodyPrint: Layout{columns=3}, Layout[columns=3] and Optional[a] of Java, Layout { Columns = 3 } of .NET, main.Layout{Columns:3},
// map[columns:3] and map[string]interface {}{"columns":3} of Go.
func isNamedBodyPrint(text string) bool {
	if hasAnyPrefix(text, "map[", "[]string{", "[]interface {}{", "[]any{") {
		return true
	}
	if name, inside := cutName(text, '{'); name != "" {
		return strings.HasSuffix(text, "}") && (strings.ContainsAny(inside, "=:") || strings.TrimSpace(inside) == "}")
	}
	if name, inside := cutName(text, '['); name != "" && strings.HasSuffix(text, "]") {
		word, _ := cutName(inside, '=')
		return word != "" || isOptional(name)
	}
	name, empty := strings.CutSuffix(text, ".empty")
	return empty && isOptional(name)
}

// isOptional reports whether a class of Java holds one value or none.
func isOptional(name string) bool {
	switch name {
	case "Optional", "OptionalInt", "OptionalLong", "OptionalDouble":
		return true
	}
	return false
}

// isReferencePrint: com.example.Layout@1b6d3586 and [Ljava.lang.String;@1b6d3586 of Java.
func isReferencePrint(text string) bool {
	class, hash, found := strings.Cut(text, "@")
	if !found || len(hash) < 4 || len(hash) > 8 || strings.Trim(hash, "0123456789abcdef") != "" {
		return false
	}
	if class[:min(1, len(class))] == "[" {
		return true
	}
	name := class[strings.LastIndexByte(class, '.')+1:]
	return name != "" && name[0] >= 'A' && name[0] <= 'Z' && nameLength(class) == len(class)
}

// isTypeName: System.Collections.Generic.Dictionary`2[System.String,System.Object], System.String[] and
// OpenFeature.Model.Value of .NET, which prints the type of what has no text of its own.
func isTypeName(text string) bool {
	rest, found := strings.CutPrefix(text, "System.")
	if found && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' {
		return true
	}
	dotted := nameLength(text)
	return hasAnyPrefix(text, "OpenFeature.Model.", "Newtonsoft.Json.", "Microsoft.Extensions.") ||
		(dotted > 0 && strings.Contains(text[:dotted], ".") && (text[dotted:] == "[]" || isGeneric(text[dotted:])))
}

// isGeneric reports whether the name of a .NET type is followed by its number of parameters: `2[System.String,...]
func isGeneric(rest string) bool {
	return len(rest) > 2 && rest[0] == '`' && rest[1] >= '1' && rest[1] <= '9' && rest[2] == '['
}

func enclosed(text string, first, last byte) bool {
	return len(text) >= 2 && text[0] == first && text[len(text)-1] == last
}

func hasAnyPrefix(text string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

// cutName splits a text after the mark that follows the name at its start; the name is empty if the text does not start
// like that. There may be a space between a name and a brace.
func cutName(text string, mark byte) (name, rest string) {
	n := nameLength(text)
	name, rest = text[:n], text[n:]
	if mark == '{' {
		rest = strings.TrimPrefix(rest, " ")
	}
	if n == 0 || rest == "" || rest[0] != mark {
		return "", ""
	}
	return name, rest[1:]
}

// nameLength returns the length of the name of a class, field or function at the start of a text.
func nameLength(text string) int {
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '$':
		case i > 0 && (c >= '0' && c <= '9' || c == '.'):
		default:
			return i
		}
	}
	return len(text)
}
