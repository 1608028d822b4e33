// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package dedup remembers the last experiment result of each subject and decides
// which results are new.
//
// A subject is who was evaluated for what: user_id, device_id, groups, flag keys and
// experiment key, hashed to 128 bits by the caller. Its state is the bucket (the day
// of the event's own time), the result, the transition number within the bucket and
// the newest event time.
//
// Decisions are made in two phases, so that a result which the next component refused
// is never remembered as sent: [State.Reserve] decides and reserves, then the caller
// hands the events on and calls [Reservation.Commit] or [Reservation.Release]. Only
// committed state makes a record a repeat.
package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
