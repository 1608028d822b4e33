// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// noProblem: an id was accepted, or there was none.
const noProblem = RejectNoID

var rejectReasonOf = [...]RejectReason{
	amplitude.IDOK:          noProblem,
	amplitude.IDEmpty:       RejectEmptyID,
	amplitude.IDPlaceholder: RejectPlaceholderID,
	amplitude.IDTooShort:    RejectShortID,
	amplitude.IDTooLong:     RejectLongID,
}

// Identity is the person of an event.
type Identity struct {
	UserID   string
	DeviceID string
	// contextID is the id, if it came from the flag's context.
	contextID string
}

// DefaultUserID returns the attributes that may hold the user id, unless configured otherwise.
func DefaultUserID() []string {
	return []string{amplitude.AttrUserID, "user.id", "enduser.id", "user_id"}
}

// DefaultDeviceID returns the attributes that may hold the device id, unless configured otherwise.
func DefaultDeviceID() []string {
	return []string{amplitude.AttrDeviceID, "device.id", "app.installation.id", "enduser.pseudo.id", "device_id"}
}

// DefaultSessionID returns the attributes that may hold the session id, unless configured otherwise.
func DefaultSessionID() []string { return []string{amplitude.AttrSessionID, "session.id"} }

// readIdentity returns the identity; both ids are empty if there is none.
func readIdentity(set *IdentitySettings, v *fieldValues) Identity {
	who := Identity{UserID: v.text(fieldUserID), DeviceID: v.text(fieldDeviceID)}
	switch {
	case set.ContextIDAs == AsUserID && who.UserID == "":
		who.UserID = v.text(fieldContextID)
		who.contextID = who.UserID
	case set.ContextIDAs == AsDeviceID && who.DeviceID == "":
		who.DeviceID = v.text(fieldContextID)
		who.contextID = who.DeviceID
	}
	return who
}

// idRules are the settings that apply to every id.
type idRules struct {
	minLength int
	unquote   bool
}

func newIDRules(set *IdentitySettings) idRules {
	return idRules{minLength: set.MinIDLength, unquote: slices.Contains(set.Normalize, NormalizeUnquote)}
}

// readID returns an id that Amplitude accepts: trimmed text, or the digits of an integer.
func readID(value pcommon.Value, rules idRules) (string, RejectReason) {
	var text string
	switch value.Type() {
	case pcommon.ValueTypeStr:
		text = validText(value.Str())
		if rules.unquote {
			text = unquoted(strings.TrimSpace(text))
		}
	case pcommon.ValueTypeInt, pcommon.ValueTypeDouble:
		digits, ok := wholeNumber(value)
		if !ok {
			return "", RejectNotAnID
		}
		text = digits
	default:
		return "", RejectNotAnID
	}
	id, problem := amplitude.CheckID(text, rules.minLength)
	if problem != amplitude.IDOK {
		return "", rejectReasonOf[problem]
	}
	return id, noProblem
}

// A session id is the start of the session in milliseconds; anything outside this range (September 2001 to December
// 2099) has another unit, or is not a time.
const (
	minSessionMillis = 1_000_000_000_000
	maxSessionMillis = 4_100_000_000_000
	sessionDigits    = 13
)

// sessionMillis reads a session id from an integer, or from its digits.
func sessionMillis(value pcommon.Value) (int64, bool) {
	var ms int64
	switch value.Type() {
	case pcommon.ValueTypeInt:
		ms = value.Int()
	case pcommon.ValueTypeDouble:
		number := value.Double()
		if number != math.Trunc(number) || number < minSessionMillis || number > maxSessionMillis {
			return 0, false
		}
		ms = int64(number)
	case pcommon.ValueTypeStr:
		digits := strings.TrimSpace(value.Str())
		if len(digits) != sessionDigits {
			return 0, false // most session ids are not numbers, and a failed parse allocates an error
		}
		parsed, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return 0, false
		}
		ms = parsed
	default:
		return 0, false
	}
	return ms, ms >= minSessionMillis && ms <= maxSessionMillis
}
