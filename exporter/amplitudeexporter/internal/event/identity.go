// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"

import (
	"strconv"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// Identity is the hash of a user or device id; 0 means that the event has none. Hash collisions only cost parallelism.
type Identity uint64

// deviceSalt keeps a user and a device with the same id apart.
const deviceSalt = 0x9e3779b97f4a7c15

// UserIdentity returns the Identity of a user id.
func UserIdentity(id string) Identity {
	return Identity(xxh3.HashString(id) | 1)
}

// DeviceIdentity returns the Identity of a device id.
func DeviceIdentity(id string) Identity {
	return Identity((xxh3.HashString(id) ^ deviceSalt) | 1)
}

// writeID writes an id that Amplitude accepts. One that it would refuse is left out, because a refused id fails the
// whole request, and the other id may suffice.
func (e *Encoder) writeID(dst []byte, f *field, value pcommon.Value, hash func(string) Identity) ([]byte, Identity, Failure) {
	if value == (pcommon.Value{}) {
		return dst, 0, Failure{}
	}
	var id string
	switch value.Type() {
	case pcommon.ValueTypeStr:
		id = value.Str()
	case pcommon.ValueTypeInt:
		id = strconv.FormatInt(value.Int(), 10)
	default:
		return dst, 0, Failure{Reason: ReasonInvalidField, Field: f.name}
	}
	id, problem := amplitude.CheckID(id, e.minIDLength)
	switch problem {
	case amplitude.IDOK:
	case amplitude.IDEmpty:
		e.Lost[LossEmptyID]++
		return dst, 0, Failure{}
	case amplitude.IDPlaceholder:
		e.Lost[LossPlaceholderID]++
		return dst, 0, Failure{}
	case amplitude.IDTooShort:
		e.Lost[LossShortID]++
		return dst, 0, Failure{}
	default:
		e.Lost[LossLongID]++
		return dst, 0, Failure{}
	}
	dst = append(dst, f.key...)
	return AppendString(dst, id), hash(id), Failure{}
}
