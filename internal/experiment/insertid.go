// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/zeebo/xxh3"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// hashDigits is the length of a 128-bit hash in hexadecimal.
const hashDigits = 32

// appendInsertID appends "<user_id> <device_id> <hash> <window>", without the window for an outcome: the same for the
// same event, on every replica and after every restart.
func (e *Event) appendInsertID(dst []byte) []byte {
	dst = e.appendIDs(dst)
	sum := e.key.Bytes()
	dst = hex.AppendEncode(dst, sum[:])
	if e.kind == kindOutcome {
		return dst // the same outcome on another day is still the same
	}
	dst = append(dst, ' ')
	return strconv.AppendInt(dst, int64(e.Window), 10)
}

// appendIdentifyID appends "<user_id> <device_id> identify <source> <number>": unique for each $identify, because the
// same operations may have to be done again.
func (e *Event) appendIdentifyID(dst []byte) []byte {
	dst = append(e.appendIDs(dst), "identify "...)
	dst = strconv.AppendUint(dst, e.Verdict.IdentifySource, identifyBase)
	dst = append(dst, ' ')
	return strconv.AppendUint(dst, e.Verdict.IdentifyNumber, identifyBase)
}

const identifyBase = 36

// appendIDs appends "<user_id> <device_id> ". A missing id is empty. If that would exceed Amplitude's limit for
// strings, one hash replaces both ids.
func (e *Event) appendIDs(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, e.UserID...)
	dst = append(dst, ' ')
	dst = append(dst, e.DeviceID...)
	if room := amplitude.MaxStringLength - len(" ") - hashDigits - len(" -2147483648 4294967295"); len(dst)-start > room {
		if amplitude.UTF16Length(e.UserID)+1+amplitude.UTF16Length(e.DeviceID) > room {
			var ids encoder
			ids = ids.text(e.UserID)
			ids = ids.text(e.DeviceID)
			sum := xxh3.Hash128(ids).Bytes()
			dst = hex.AppendEncode(dst[:start], sum[:])
		}
	}
	return append(dst, ' ')
}

// What the insert_id of an outcome is made of, for explanations.
const (
	insertIDOutcome = "outcome_id"
	insertIDContent = "content"
)

// hasSDKInsertID reports whether the Node SDK makes an insert_id for such an event, which it does not for client events
// and outcomes.
func (e *Event) hasSDKInsertID() bool {
	return e.kind != kindImpression && e.kind != kindOutcome && e.customEvent == ""
}

// sdkText is the canonical text of a result, which Amplitude's Node SDK hashes into an insert_id.
type sdkText struct{ strings.Builder }

// part appends an id, flag key or variant.
func (c *sdkText) part(text string) {
	c.WriteString(strings.TrimSpace(text))
	c.WriteByte(' ')
}

func (c *sdkText) ids(who *Identity) {
	c.part(who.UserID)
	c.part(who.DeviceID)
}

func (c *sdkText) flag(flag *Flag) {
	c.part(flag.Key)
	c.part(flag.Variant)
}

// appendSDKInsertID appends the insert_id that Amplitude's Node SDK makes for the same result, so
// that an event sent by both counts once: "<user_id> <device_id> <hash> <UTC day>", the hash being
// Java's string hash of the canonical text.
func (e *Event) appendSDKInsertID(dst []byte) []byte {
	var canonical sdkText
	if e.kind == kindAssignment {
		canonical.ids(&e.Identity)
		for _, i := range utf16Order(e.Flags) {
			canonical.flag(&e.Flags[i])
		}
	} else {
		// The SDK hashes "<flag> " followed by the canonical text of the whole result, which is one flag here.
		canonical.WriteString(e.Flags[0].Key)
		canonical.WriteByte(' ')
		canonical.ids(&e.Identity)
		canonical.flag(&e.Flags[0])
	}
	return e.appendSDKHash(dst, javaHash(canonical.String()))
}

// appendSDKHash appends the SDK's insert_id with this hash.
func (e *Event) appendSDKHash(dst []byte, hash int32) []byte {
	dst = append(dst, idOrUndefined(e.UserID)...)
	dst = append(dst, ' ')
	dst = append(dst, idOrUndefined(e.DeviceID)...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(hash), 10)
	dst = append(dst, ' ')
	return strconv.AppendInt(dst, floorDiv(e.Time, millisPerDay), 10)
}

// sdkResult represents the canonical text of the whole result of an evaluation, which the SDK hashes into the id of
// each exposure: its hash, and the factor for the hash of a text before it.
type sdkResult struct {
	record       *parsedRecord
	hash, factor int32
}

// of returns the result of an event whose record has these flags.
func (s sdkResult) of(e *Event, flags []Flag) sdkResult {
	if s.record == e.parsedRecord {
		return s
	}
	var canonical sdkText
	canonical.ids(&e.Identity)
	for _, i := range utf16Order(flags) {
		if !flags[i].noKey {
			canonical.flag(&flags[i])
		}
	}
	s = sdkResult{record: e.parsedRecord, factor: 1}
	for _, unit := range utf16.Encode([]rune(canonical.String())) {
		s.hash = javaBase*s.hash + int32(unit)
		s.factor *= javaBase
	}
	return s
}

// appendSDKResultID appends the insert_id that the Node SDK makes for the exposure of one flag of a result: the hash is that of
// "<flag> " before the canonical text of the whole result.
func (e *Event) appendSDKResultID(dst []byte, whole sdkResult) []byte {
	return e.appendSDKHash(dst, javaHash(e.Flags[0].Key+" ")*whole.factor+whole.hash)
}

func idOrUndefined(id string) string {
	if id == "" {
		return "undefined"
	}
	return id
}

const javaBase = 31

// javaHash is 31·h + c over UTF-16 code units in signed 32 bits.
func javaHash(text string) int32 {
	var h int32
	for _, unit := range utf16.Encode([]rune(text)) {
		h = javaBase*h + int32(unit)
	}
	return h
}

// utf16Order returns the indexes of flags in the order in which JavaScript sorts their keys.
func utf16Order(flags []Flag) []int {
	order := make([]int, len(flags))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return slices.Compare(utf16.Encode([]rune(flags[a].Key)), utf16.Encode([]rune(flags[b].Key)))
	})
	return order
}
