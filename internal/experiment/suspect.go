// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import "strings"

// IDSuspect is what makes an id look as if it were not written as the flag's evaluation has it. Amplitude names these among
// the causes of users who move between variants; the id is taken as it is.
type IDSuspect uint8

const (
	// SuspectQuoted: there are quotes around the id.
	SuspectQuoted IDSuspect = iota
	// SuspectUpperUUID: a UUID has letters in upper case, which others write in lower case.
	SuspectUpperUUID
	// SuspectSurrounded: there is text around the id, as a print-out or a field's name has it.
	SuspectSurrounded
	// NumIDSuspects is the number of them.
	NumIDSuspects
	notSuspect = NumIDSuspects
)

var idSuspectNames = [NumIDSuspects]string{"quoted", "upper_case_uuid", "surrounding_text"}

// String returns the word that metrics count by.
func (s IDSuspect) String() string { return idSuspectNames[s] }

var idSuspectHints = [NumIDSuspects]string{
	SuspectQuoted: "there are quotes around the id, which the flag was hardly evaluated with: take them off where the record is written, " +
		"or set identity.normalize to [unquote] if no evaluation has them",
	SuspectUpperUUID: "a UUID in upper case and the same one in lower case are two users to Amplitude: write it everywhere as the flag's evaluation has it",
	SuspectSurrounded: "the id stands in other text, such as user_id=... or Optional(...): record the id alone, " +
		"as the flag's evaluation has it",
}

// Hint tells what to do about it.
func (s IDSuspect) Hint() string { return idSuspectHints[s] }

// suspectID tells what makes an id suspect, notSuspect if nothing does. The id is not empty.
func suspectID(id string) IDSuspect {
	switch {
	case unquoted(id) != id:
		return SuspectQuoted
	case len(id) == uuidLength:
		if isUUID(id) && strings.ContainsAny(id, "ABCDEF") {
			return SuspectUpperUUID
		}
	case len(id) > uuidLength:
		for i := 0; i+uuidLength <= len(id); i++ {
			// What Amplitude's SDKs make has an R behind it.
			if id[i+8] == '-' && isUUID(id[i:i+uuidLength]) && !(i == 0 && id[uuidLength:] == "R") {
				return SuspectSurrounded
			}
		}
	}
	if surrounded(id) {
		return SuspectSurrounded
	}
	return notSuspect
}

const uuidLength = len("00000000-0000-0000-0000-000000000000")

func isUUID(text string) bool {
	for i := range uuidLength {
		c := text[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return false
			}
		}
	}
	return true
}

// surrounded tells whether an id is a print-out such as Optional(...), {...} and <...>, or has the name of a field before it.
func surrounded(id string) bool {
	if last := strings.IndexByte(")}]>", id[len(id)-1]); last >= 0 && strings.IndexByte(id, "({[<"[last]) >= 0 {
		return true
	}
	i := strings.IndexAny(id, "=:")
	if i < 0 || i == len(id)-1 {
		return false
	}
	switch strings.ToLower(strings.ReplaceAll(id[:i], "_", "")) {
	case "id", "user", "userid", "uid", "device", "deviceid":
		return true
	default:
		return false
	}
}

// unquoted takes off one pair of quotes, escaped or not, if there is something between them.
func unquoted(id string) string {
	for _, quote := range quotes {
		if inner, ok := strings.CutPrefix(id, quote[0]); ok {
			if inner, ok = strings.CutSuffix(inner, quote[1]); ok && strings.TrimSpace(inner) != "" {
				return inner
			}
		}
	}
	return id
}

// quotes are pairs that stand around an id; the typographic ones come of spreadsheets and documents.
var quotes = [...][2]string{{`\"`, `\"`}, {`"`, `"`}, {`'`, `'`}, {"`", "`"}, {"“", "”"}, {"‘", "’"}}
