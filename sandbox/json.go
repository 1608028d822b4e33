// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// parseDepth bounds the nesting of a body, so that hostile input cannot exhaust the stack.
const parseDepth = 512

var errNotUTF8 = errors.New("not UTF-8")

// body is a decoded ingest request. Objects are map[string]any, numbers json.Number.
type body struct {
	fields map[string]any // every top-level member but events
	events []any          // nil when absent or not an array
	spans  [][]byte       // the text of each event, slices of the request body
	// hasEvents tells that events was present and an array.
	hasEvents bool
	// duplicateKeys tells that some object named a key twice; the last one counts.
	duplicateKeys bool
}

// parser reads RFC 8259 JSON strictly: UTF-8, one value, no extensions.
type parser struct {
	in         []byte
	at         int
	duplicates bool
}

// parseBody decodes a request body whose top must be an object.
func parseBody(in []byte) (*body, error) {
	if !utf8.Valid(in) {
		return nil, errNotUTF8
	}
	p := &parser{in: in}
	p.space()
	if p.peek() != '{' {
		return nil, p.fail("an object")
	}
	b := &body{fields: make(map[string]any, 4)}
	err := p.members(func(key string) error {
		if key == "events" && p.peek() == '[' {
			return p.events(b)
		}
		value, err := p.value(1)
		if err != nil {
			return err
		}
		if key == "events" {
			b.events, b.spans, b.hasEvents = nil, nil, false
			return nil
		}
		if _, twice := b.fields[key]; twice {
			p.duplicates = true
		}
		b.fields[key] = value
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.duplicateKeys = p.duplicates
	return b, p.end()
}

// parseValue decodes one JSON value of any kind.
func parseValue(in []byte) (any, error) {
	if !utf8.Valid(in) {
		return nil, errNotUTF8
	}
	p := &parser{in: in}
	p.space()
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	return v, p.end()
}

func (p *parser) events(b *body) error {
	if b.hasEvents {
		p.duplicates = true
	}
	b.hasEvents, b.events, b.spans = true, []any{}, nil
	return p.elements(func() error {
		start := p.at
		v, err := p.value(2)
		if err != nil {
			return err
		}
		b.events = append(b.events, v)
		b.spans = append(b.spans, p.in[start:p.at])
		return nil
	})
}

func (p *parser) fail(wanted string) error {
	return fmt.Errorf("expected %s at byte %d", wanted, p.at)
}

func (p *parser) peek() byte {
	if p.at < len(p.in) {
		return p.in[p.at]
	}
	return 0
}

func (p *parser) space() {
	for p.at < len(p.in) {
		switch p.in[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

func (p *parser) end() error {
	p.space()
	if p.at != len(p.in) {
		return p.fail("the end")
	}
	return nil
}

// members reads an object; do is called with the position on each value and has to read it.
func (p *parser) members(do func(key string) error) error {
	p.at++
	p.space()
	if p.peek() == '}' {
		p.at++
		return nil
	}
	for {
		p.space()
		if p.peek() != '"' {
			return p.fail("a key")
		}
		key, err := p.text(true)
		if err != nil {
			return err
		}
		p.space()
		if p.peek() != ':' {
			return p.fail("a colon")
		}
		p.at++
		p.space()
		if err := do(key); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			return nil
		default:
			return p.fail("a comma or the end of an object")
		}
	}
}

// elements reads an array; do is called with the position on each value and has to read it.
func (p *parser) elements(do func() error) error {
	p.at++
	p.space()
	if p.peek() == ']' {
		p.at++
		return nil
	}
	for {
		p.space()
		if err := do(); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			return nil
		default:
			return p.fail("a comma or the end of an array")
		}
	}
}

func (p *parser) value(depth int) (any, error) {
	if depth > parseDepth {
		return nil, p.fail("less nesting")
	}
	switch c := p.peek(); c {
	case '{':
		object := map[string]any{}
		err := p.members(func(key string) error {
			v, err := p.value(depth + 1)
			if err != nil {
				return err
			}
			if _, twice := object[key]; twice {
				p.duplicates = true
			}
			object[key] = v
			return nil
		})
		return object, err
	case '[':
		array := []any{}
		err := p.elements(func() error {
			v, err := p.value(depth + 1)
			array = append(array, v)
			return err
		})
		return array, err
	case '"':
		return p.text(false)
	case 't':
		return true, p.word("true")
	case 'f':
		return false, p.word("false")
	case 'n':
		return nil, p.word("null")
	default:
		if c == '-' || isDigit(c) {
			return p.number()
		}
		return nil, p.fail("a value")
	}
}

func (p *parser) word(word string) error {
	if len(p.in)-p.at < len(word) || string(p.in[p.at:p.at+len(word)]) != word {
		return p.fail(word)
	}
	p.at += len(word)
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (p *parser) digits() bool {
	start := p.at
	for isDigit(p.peek()) {
		p.at++
	}
	return p.at > start
}

func (p *parser) number() (json.Number, error) {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if !p.digits() {
		return "", p.fail("a digit")
	}
	if p.peek() == '.' {
		p.at++
		if !p.digits() {
			return "", p.fail("a digit")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !p.digits() {
			return "", p.fail("a digit")
		}
	}
	return json.Number(p.in[start:p.at]), nil
}

// text reads a string; keys that recur are shared.
func (p *parser) text(key bool) (string, error) {
	p.at++
	start := p.at
	for p.at < len(p.in) {
		switch c := p.in[p.at]; {
		case c == '"':
			raw := p.in[start:p.at]
			p.at++
			if key {
				if known, ok := knownKeys[string(raw)]; ok {
					return known, nil
				}
			}
			return string(raw), nil
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return "", p.fail("no control character in a string")
		}
		p.at++
	}
	return "", p.fail("the end of a string")
}

// escaped reads the rest of a string that has an escape at the position; start is its first byte.
func (p *parser) escaped(start int) (string, error) {
	out := append(make([]byte, 0, p.at-start+32), p.in[start:p.at]...)
	for p.at < len(p.in) {
		c := p.in[p.at]
		switch {
		case c == '"':
			p.at++
			return string(out), nil
		case c < ' ':
			return "", p.fail("no control character in a string")
		case c != '\\':
			out = append(out, c)
			p.at++
			continue
		}
		p.at++
		switch e := p.peek(); e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := p.hex4()
			if !ok {
				return "", p.fail("four hexadecimal digits")
			}
			if utf16.IsSurrogate(r) {
				r = p.pair(r)
			}
			out = utf8.AppendRune(out, r)
			continue
		default:
			return "", p.fail("an escape")
		}
		p.at++
	}
	return "", p.fail("the end of a string")
}

// hex4 reads "uXXXX" with the position on u.
func (p *parser) hex4() (rune, bool) {
	if len(p.in)-p.at < 5 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p.in[p.at+1:p.at+5]), 16, 16)
	if err != nil {
		return 0, false
	}
	p.at += 5
	return rune(n), true
}

// pair completes a surrogate; half a pair becomes the replacement character.
func (p *parser) pair(first rune) rune {
	if len(p.in)-p.at >= 6 && p.in[p.at] == '\\' && p.in[p.at+1] == 'u' {
		mark := p.at
		p.at++
		if second, ok := p.hex4(); ok {
			if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
				return r
			}
		}
		p.at = mark
	}
	return utf8.RuneError
}
