// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package experiment maps log records about feature flags to the events that Amplitude Experiment analyzes.
//
// The path of a batch, with the file of each step:
//
//	Batch.Read       batch.go
//	  recognize      recognize.go    what kind of record it is, by its event name alone
//	  field values   fieldvalues.go  which attribute gives which field (fields.go), and how its value reads (answer.go, text.go)
//	  interpret      interpret.go    what it says, and whether that makes an event: exposure.go, evaluation.go, assignment.go,
//	                                outcomeevent.go
//	  identify       identify.go     who it was; groups.go, client.go, eventtime.go
//	  events         event.go        the events it becomes, each with the key by which repeats are found (key.go)
//	(the caller's memory decides: Event.Verdict)
//	Batch.Explain    listener.go     only if a Listener watches: the decisions on the records that it wants
//	Batch.Write      write.go
//	  insert_id      insertid.go
//	  shape          shape.go        each event as a flat record, in place; properties.go: which other attributes are sent;
//	                                extraevents.go: the further events of a record
//
// An [Event] is the same object from its key to its insert_id. A record that is already an event, made by another
// Collector, is read by shaped.go instead of being interpreted, and passes as it is, without the operations that must not
// be repeated.
//
// What becomes of a record is an [Outcome] with a reason (outcome.go); Write returns their counts. A record may have a
// [Trace], which puts each decision into words where it is made (trace.go); a nil Trace costs nothing.
//
// The package only uses OpenTelemetry's data types, and nothing else of the Collector.
package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
