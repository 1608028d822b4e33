// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Kinds of tokens; jsontext has names for them only in versions that require Go 1.26.
const (
	tokenBeginObject jsontext.Kind = '{'
	tokenEndObject   jsontext.Kind = '}'
	tokenBeginArray  jsontext.Kind = '['
	tokenEndArray    jsontext.Kind = ']'
	tokenString      jsontext.Kind = '"'
	tokenNumber      jsontext.Kind = '0'
	tokenTrue        jsontext.Kind = 't'
	tokenFalse       jsontext.Kind = 'f'
)

// parseDepth bounds the nesting of a body, so that hostile input cannot exhaust the stack.
const parseDepth = 512

// maxValues bounds the values of a body: each takes many times what it takes in JSON.
const maxValues = 1_000_000

var (
	errTooMany = fmt.Errorf("more than %d values", maxValues)
	errNotUTF8 = errors.New("not UTF-8")
	errTooDeep = fmt.Errorf("nested deeper than %d", parseDepth)
)

// body is a decoded ingest request. Objects are map[string]any, numbers json.Number.
type body struct {
	fields map[string]any // every top-level member but events
	events []any          // nil when absent or not an array; no more than a request may have
	count  int            // of all events
	texts  [][]byte       // the text of each event, slices of the request body
	// hasEvents: events was present and an array.
	hasEvents bool
	// duplicateKeys: some object had a duplicate key; the last one counts.
	duplicateKeys bool
}

// parser reads RFC 8259 JSON strictly: UTF-8, one value, no extensions. Half a surrogate pair becomes the replacement
// character, as in most servers.
type parser struct {
	in         []byte
	tokens     *jsontext.Decoder
	duplicates bool
	values     int
	maxEvents  int
}

func newParser(in []byte) (*parser, error) {
	if !utf8.Valid(in) {
		return nil, errNotUTF8
	}
	return &parser{in: in, tokens: jsontext.NewDecoder(bytes.NewBuffer(in), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))}, nil
}

// parseBody decodes a request body, which must be an object. Events beyond maxEvents are only counted.
func parseBody(in []byte, maxEvents int) (*body, error) {
	p, err := newParser(in)
	if err != nil {
		return nil, err
	}
	p.maxEvents = maxEvents
	if kind := p.tokens.PeekKind(); kind != tokenBeginObject {
		return nil, fmt.Errorf("expected an object, found %s", kind)
	}
	b := &body{fields: make(map[string]any, 4)}
	err = p.members(func(key string) error {
		if key == "events" && p.tokens.PeekKind() == tokenBeginArray {
			return p.events(b)
		}
		value, err := p.value()
		if err != nil {
			return err
		}
		if key == "events" {
			b.events, b.texts, b.hasEvents, b.count = nil, nil, false, 0
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
	p, err := newParser(in)
	if err != nil {
		return nil, err
	}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	return v, p.end()
}

func (p *parser) events(b *body) error {
	if b.hasEvents {
		p.duplicates = true
	}
	b.hasEvents, b.events, b.texts, b.count = true, []any{}, nil, 0
	return p.elements(func() error {
		if b.count++; b.count > p.maxEvents {
			return p.tokens.SkipValue()
		}
		before := p.tokens.InputOffset()
		v, err := p.value()
		if err != nil {
			return err
		}
		b.events = append(b.events, v)
		// Only white space and a comma precede an element.
		b.texts = append(b.texts, bytes.TrimLeft(p.in[before:p.tokens.InputOffset()], ", \t\r\n"))
		return nil
	})
}

// end checks that nothing follows.
func (p *parser) end() error {
	_, err := p.tokens.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return errors.New("more than one value")
	default:
		return err
	}
}

// members reads an object; do is called with the position on each value and has to read it.
func (p *parser) members(do func(key string) error) error {
	if _, err := p.tokens.ReadToken(); err != nil {
		return err
	}
	for p.tokens.PeekKind() != tokenEndObject {
		key, err := p.key()
		if err != nil {
			return err
		}
		if err := do(key); err != nil {
			return err
		}
	}
	_, err := p.tokens.ReadToken()
	return err
}

// key reads the name of a member; names that recur are shared.
func (p *parser) key() (string, error) {
	quoted, err := p.tokens.ReadValue()
	if err != nil {
		return "", err
	}
	if known, ok := knownKeys[string(quoted[1:len(quoted)-1])]; ok {
		return known, nil
	}
	key, _ := jsontext.AppendUnquote(nil, quoted) // what was read can be unquoted; a lone surrogate is replaced
	return string(key), nil
}

// elements reads an array; do is called with the position on each value and has to read it.
func (p *parser) elements(do func() error) error {
	if _, err := p.tokens.ReadToken(); err != nil {
		return err
	}
	for p.tokens.PeekKind() != tokenEndArray {
		if err := do(); err != nil {
			return err
		}
	}
	_, err := p.tokens.ReadToken()
	return err
}

func (p *parser) value() (any, error) {
	if p.tokens.StackDepth() > parseDepth {
		return nil, errTooDeep
	}
	if p.values++; p.values > maxValues {
		return nil, errTooMany
	}
	switch p.tokens.PeekKind() {
	case tokenBeginObject:
		object := map[string]any{}
		err := p.members(func(key string) error {
			v, err := p.value()
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
	case tokenBeginArray:
		array := []any{}
		err := p.elements(func() error {
			v, err := p.value()
			array = append(array, v)
			return err
		})
		return array, err
	}
	token, err := p.tokens.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case tokenString:
		return token.String(), nil
	case tokenNumber:
		return json.Number(token.String()), nil
	case tokenTrue, tokenFalse:
		return token.Bool(), nil
	default:
		return nil, nil //nolint:nilnil // it is null
	}
}
