// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package amplitude holds the words that the components of this module share:
// the names of Amplitude's events, fields and operators, the attribute names
// that carry them through a Collector pipeline, and the rules and limits of
// Amplitude's HTTP V2 API that more than one component must agree on.
//
// An Amplitude event travels through a pipeline as a flat OpenTelemetry log
// record: EventName is the event type, Timestamp its time, an attribute is an
// event property, and attributes under "amplitude." are everything else:
//
//	amplitude.<field>                              a top-level field, for instance amplitude.user_id
//	amplitude.user_properties.<operator>.<name>    a user property operation
//	amplitude.group_properties.<operator>.<name>   a group property operation ($groupidentify only)
//	amplitude.groups.<type>                        a group membership of the event
//
// The package imports none of the components; the components import it.
package amplitude // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
