// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import "strings"

// IDSuspect is why an id looks different from the one used to evaluate the flag. Amplitude lists these among the causes
// of users who move between variants; the id is used unchanged.
type IDSuspect uint8

const (
	// SuspectQuoted means that there are quotes around the id.
	SuspectQuoted IDSuspect = iota
	// SuspectUpperUUID means that a UUID has upper-case letters, which are usually lower-case.
	SuspectUpperUUID
	// SuspectSurrounded means that there is text around the id, such as a printed type or a field name.
	SuspectSurrounded
	// NumIDSuspects is the number of them.
	NumIDSuspects
	notSuspect = NumIDSuspects
)

var idSuspectNames = [NumIDSuspects]string{"quoted", "upper_case_uuid", "surrounding_text"}

// String returns the name that metrics use.
func (s IDSuspect) String() string { return idSuspectNames[s] }

var idSuspectHints = [NumIDSuspects]string{
	SuspectQuoted: "there are quotes around the id, and the flag was probably evaluated without them: remove them where the record is written, " +
		"or set identity.normalize to [unquote] if no evaluation has them",
	SuspectUpperUUID: "a UUID in upper case and the same one in lower case are two users to Amplitude: always write it as in the flag's evaluation",
	SuspectSurrounded: "the id is surrounded by other text, such as user_id=... or Optional(...): record the id alone, " +
		"as in the flag's evaluation",
}

// Hint says what to do about it.
func (s IDSuspect) Hint() string { return idSuspectHints[s] }

// suspectID returns why an id is suspect, or notSuspect. The id is not empty.
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
			// Ids made by Amplitude's SDKs end in R.
			if id[i+8] == '-' && isUUID(id[i:i+uuidLength]) && (i != 0 || id[uuidLength:] != "R") {
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
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}

// surrounded reports whether an id is printed like Optional(...), {...} or <...>, or follows a field name.
func surrounded(id string) bool {
	if last := strings.IndexByte(")}]>", id[len(id)-1]); last >= 0 && strings.IndexByte(id, "({[<"[last]) >= 0 {
		return true
	}
	end := 0 // of the field name
	for end < len(id) && id[end] != '=' && id[end] != ':' {
		end++
	}
	if end >= len(id)-1 {
		return false
	}
	switch strings.ToLower(strings.ReplaceAll(id[:end], "_", "")) {
	case "id", "user", "userid", "uid", "device", "deviceid":
		return true
	default:
		return false
	}
}

// unquoted removes one pair of quotes, escaped or not, if there is something between them.
func unquoted(id string) string {
	if id == "" || strings.IndexByte(quoteStarts, id[0]) < 0 {
		return id
	}
	for _, quote := range quotes {
		if inner, ok := strings.CutPrefix(id, quote[0]); ok {
			if inner, ok = strings.CutSuffix(inner, quote[1]); ok && strings.TrimSpace(inner) != "" {
				return inner
			}
		}
	}
	return id
}

// quotes are the pairs found around ids; the typographic ones come from spreadsheets and documents.
var quotes = [...][2]string{{`\"`, `\"`}, {`"`, `"`}, {`'`, `'`}, {"`", "`"}, {"“", "”"}, {"‘", "’"}}

// quoteStarts are their first bytes, which almost no id begins with.
var quoteStarts = func() string {
	var starts []byte
	for _, quote := range quotes {
		starts = append(starts, quote[0][0])
	}
	return string(starts)
}()
