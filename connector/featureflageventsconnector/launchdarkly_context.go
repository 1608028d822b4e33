// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector // import "github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"

import (
	"encoding/json"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Context kinds with a special meaning: the key of a single user context has no kind, and the other two cannot be
// kinds.
const (
	kindUser  = "user"
	kindMulti = "multi"
	kindKind  = "kind"
)

// unescaper reverts LaunchDarkly's escapes in the keys of a canonical key.
var unescaper = strings.NewReplacer("%3A", ":", "%3a", ":", "%25", "%")

// contextPart is one kind of a context, and its key.
type contextPart struct{ kind, key string }

// flagContext is the context that a flag was evaluated for: one user, or parts of other kinds.
type flagContext struct {
	single contextPart
	multi  []contextPart
}

func (c *flagContext) parts() []contextPart {
	if c.multi != nil {
		return c.multi
	}
	return []contextPart{c.single}
}

// key returns the key of one kind.
func (c *flagContext) key(kind string) (string, bool) {
	if c.multi == nil {
		return c.single.key, c.single.kind == kind
	}
	for _, part := range c.multi {
		if part.kind == kind {
			return part.key, true
		}
	}
	return "", false
}

// contextKeys returns the context from separate kinds and keys: {"user":"google:112233","organization":"org:1"}.
func contextKeys(attributes pcommon.Map) (flagContext, bool) {
	for _, name := range [...]string{attrContextKeys, attrContextKeysOld} {
		value, ok := attributes.Get(name)
		if !ok {
			continue
		}
		keys := map[string]any{}
		switch value.Type() {
		case pcommon.ValueTypeMap:
			keys = value.Map().AsRaw()
		case pcommon.ValueTypeStr:
			if json.Unmarshal([]byte(value.Str()), &keys) != nil {
				continue
			}
		}
		context := flagContext{multi: []contextPart{}}
		for kind, key := range keys {
			if text, isText := key.(string); isText && isKind(kind) && text != "" {
				context.multi = append(context.multi, contextPart{kind: kind, key: text})
			}
		}
		if len(context.multi) > 0 {
			return context, true
		}
	}
	return flagContext{}, false
}

// contextReader reads canonical keys: "user-1" is the user user-1, "organization:org%3A1" the
// organization org:1, and "organization:org%3A1:user:user-1" both.
type contextReader struct {
	userKind string
	// known are the kinds in use; nil means any.
	known map[string]struct{}
}

// read returns the context of a canonical key. The format is ambiguous between a user key with a colon and a kind with
// its key, so a text is read as a user's key whenever it cannot be anything else: parts that are not pairs, words that
// are not kinds or unknown, kinds out of order, keys that are not escaped.
func (r *contextReader) read(canonical string) flagContext {
	whole := flagContext{single: contextPart{kind: kindUser, key: canonical}}
	pieces := strings.Count(canonical, ":") + 1
	if pieces%2 != 0 {
		return whole
	}
	parts := make([]contextPart, 0, pieces/2)
	previous := ""
	for rest, more := canonical, true; more; {
		var kind, key string
		kind, rest, _ = strings.Cut(rest, ":")
		key, rest, more = strings.Cut(rest, ":")
		if !r.isKnown(kind) || kind <= previous || key == "" || !isEscaped(key) {
			return whole
		}
		previous = kind
		parts = append(parts, contextPart{kind: kind, key: unescaper.Replace(key)})
	}
	// A single user has no kind before the key, so this is a key that happens to start like one.
	if len(parts) == 1 && parts[0].kind == kindUser {
		return whole
	}
	return flagContext{multi: parts}
}

func (r *contextReader) isKnown(kind string) bool {
	if r.known != nil {
		_, ok := r.known[kind]
		return ok
	}
	return isKind(kind)
}

// isKind reports whether a text can be a context kind.
func isKind(text string) bool {
	if text == "" || text == kindKind || text == kindMulti {
		return false
	}
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// isEscaped reports whether every percent sign in key starts an escape that LaunchDarkly writes.
func isEscaped(key string) bool {
	for {
		i := strings.IndexByte(key, '%')
		if i < 0 {
			return true
		}
		key = key[i+1:]
		if !strings.HasPrefix(key, "25") && !strings.HasPrefix(key, "3A") && !strings.HasPrefix(key, "3a") {
			return false
		}
	}
}
