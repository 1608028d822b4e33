// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package orderedqueue is exporterhelper with what its queue lacks for an exporter whose order matters and that must
// not lose what it acknowledged. Everything here works around something in the Collector's core, so that the package can
// be deleted in one commit, and [NewLogs] replaced by exporterhelper.NewLogs, once the core does it.
//
// What it adds, and what it takes for granted about the inside of exporterhelper, each with the test that fails when a
// core no longer does so (assumptions_test.go, which asks exporterhelper without this package):
//
//   - Batches are delivered in the order in which they were begun, though the batcher hands over a full one and one whose
//     time is up in two goroutines ([batchOrder]). There is no issue about the order of flushes yet. Assumed: MergeSplit
//     runs under the batcher's lock, in the order of the queue, with nil for the other request at a batch's start; and
//     every batch that was begun reaches the consumer (TestAssumptionBatchesBeginInOrder).
//   - After a restart the requests that were in flight stay before those behind them ([keepOrder]). The core puts them at
//     the end (TestAssumptionUnfinishedRequestsGoToTheEnd):
//     https://github.com/open-telemetry/opentelemetry-collector/issues/15475. Assumed: the queue's client of the storage
//     has the name "logs" (TestAssumptionQueueStorageIsNamedLogs), and its index lies under "qmv0" as protobuf, with the
//     fields of [index] (TestAssumptionIndexFormat); a missing request is passed over
//     (TestAssumptionMissingRequestIsPassedOver).
//   - A request is not lost when the disk is full as it is taken out ([queueClient]). The core deletes what it failed to
//     read (TestAssumptionFullStorageLosesRequests). Assumed: the index and the request are written, and the index is
//     written and the request read, in one Batch (TestAssumptionIndexAndRequestInOneBatch).
//   - Not worked around: while the destination is down, a shutdown may delete a request
//     (https://github.com/open-telemetry/opentelemetry-collector/issues/15677). Assumed: one that waits for its next try
//     stays (TestAssumptionShutdownKeepsRequestsThatWait).
//   - Nothing that is in memory at a stop is lost before a last try, which tells so ([leavings]). Assumed: one batch at a
//     time is delivered or waits for its next try, since there is one consumer (TestAssumptionOneBatchAtATime); at a stop
//     the core lets go of the one that waits, and of each later one that fails (TestAssumptionStopDropsWhatWaits).
//   - A batch knows whether more waits behind it ([waiting]), by the records that came and went, and by the index on disk.
//   - What the core logs about each failed try is at debug level ([quiet]). Assumed: it begins with the same words
//     (TestAssumptionStopDropsWhatWaits).
//   - A value that is nested too deep to be read back is left out ([shallow]). Assumed: one that is not is read
//     (TestAssumptionRequestsOfMaxDepthAreRead).
//   - A request that cannot be read back is reported ([Settings].Unreadable). The core says so at debug level only.
//   - What waits in memory is encoded before the queue takes it, what waits on disk as it is read back ([encodedQueue]): requests carry
//     parts of chunks, and merging, cutting and retrying them touches no event. Not a workaround: it would stay, in a small request type.
//   - What the queue took is counted once it took it, and a second Shutdown does nothing ([ordered]).
package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
