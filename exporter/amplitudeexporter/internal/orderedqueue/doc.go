// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package orderedqueue adds to exporterhelper what its queue lacks for an exporter whose events must stay in order and
// that must not lose what it acknowledged. Almost everything here works around the Collector's core: once the core does
// the same, the package can be deleted in one commit, and [NewLogs] replaced by exporterhelper.NewLogs.
//
// What it adds, what it assumes about the internals of exporterhelper, and the test that fails if a new core breaks the
// assumption (in assumptions_test.go, which tests exporterhelper without this package):
//
//   - Batches are delivered in the order in which they were begun, although the batcher hands over full batches and
//     timed-out ones in two goroutines ([batchOrder]). There is no upstream issue about the order of flushes yet. Assumed:
//     MergeSplit runs under the batcher's lock, in queue order, with a nil request at the start of a batch; and every
//     batch that was begun reaches the consumer (TestAssumptionBatchesBeginInOrder).
//   - After a restart, the requests that were in flight stay ahead of those behind them ([keepOrder]). The core moves them
//     to the end (TestAssumptionUnfinishedRequestsGoToTheEnd):
//     https://github.com/open-telemetry/opentelemetry-collector/issues/15475. Assumed: the queue's storage client is named
//     "logs" (TestAssumptionQueueStorageIsNamedLogs), its index is stored under "qmv0" as protobuf with the fields of
//     [index] (TestAssumptionIndexFormat), and a missing request is skipped (TestAssumptionMissingRequestIsSkipped).
//   - A request is not lost if the disk is full when it is taken out ([queueClient]). The core deletes a request that it
//     failed to read (TestAssumptionFullStorageLosesRequests). Assumed: the index is written in the same Batch in which a
//     request is written, and in the same one in which it is read (TestAssumptionIndexAndRequestInOneBatch).
//   - Not worked around: while the destination is down, a shutdown may delete a request
//     (https://github.com/open-telemetry/opentelemetry-collector/issues/15677). Assumed: a request that waits for its next
//     attempt is kept (TestAssumptionShutdownKeepsRequestsThatWait).
//   - At shutdown, nothing in memory is dropped before a last attempt, which knows that it is the last ([leavings]).
//     Assumed: with one consumer, only one batch at a time is being delivered or waits for its next attempt
//     (TestAssumptionOneBatchAtATime); at shutdown, the core drops the batch that waits, and each later one that fails
//     (TestAssumptionStopDropsWhatWaits).
//   - A batch knows whether anything waits behind it ([waiting]), from the number of records that came and went and from
//     the index on disk.
//   - What the core logs about each failed attempt is moved to debug level ([quiet]). Assumed: the message always starts
//     with the same words (TestAssumptionStopDropsWhatWaits).
//   - Values that are nested too deeply to be read back from disk are left out ([shallow]). Assumed: values within the
//     limit can be read back (TestAssumptionRequestsOfMaxDepthAreRead).
//   - A request that cannot be read back is reported ([Settings].Unreadable). The core only logs it at debug level.
//   - Records that wait in memory are encoded before the queue accepts them, those on disk when they are read back
//     ([encodedQueue]). Requests carry parts of chunks, so merging, splitting and retrying them does not touch events.
//     This is not a workaround: it would remain, as a small request type.
//   - Records are counted once the queue has accepted them, and a second Shutdown does nothing ([ordered]).
package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
