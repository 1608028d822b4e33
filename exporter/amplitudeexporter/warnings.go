// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"iter"
	"net/url"

	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

// deliveryDocs is the page that explains each warning.
const deliveryDocs = "https://github.com/otelcol-amplitude/otelcol-amplitude/blob/main/docs/delivery.md"

// operationsDocs is the page about operations.
const operationsDocs = "https://github.com/otelcol-amplitude/otelcol-amplitude/blob/main/docs/operations.md"

// Warnings yields the settings that are allowed but can lose, repeat or reorder events, each with its risk: what the
// exporter logs at startup, for tools that check a configuration.
func (c *Config) Warnings() iter.Seq2[string, string] {
	return func(yield func(setting, message string) bool) {
		for _, w := range c.warnings() {
			if !yield(w.setting, w.message) {
				return
			}
		}
	}
}

// warning is a setting that is allowed but can lose, repeat or reorder events.
type warning struct {
	setting string
	message string
	link    string
}

// warnings returns the risks of the configuration; each has an anchor in docs/delivery.md.
func (c *Config) warnings() []warning {
	var all []warning
	add := func(setting, anchor, message string) {
		all = append(all, warning{setting: setting, message: message, link: deliveryDocs + "#" + anchor})
	}
	queue := c.QueueConfig.Get()
	if queue == nil {
		add("sending_queue::enabled: false", "no-queue", "Without a sending queue every failure goes back to the sender, and events of one user can overtake each other")
	} else {
		if queue.StorageID == nil {
			add("sending_queue::storage", "no-storage", "Without a storage for the sending queue, a restart loses the events that wait in it")
		}
		if queue.Sizer == exporterhelper.RequestSizerTypeBytes && queue.QueueSize < amplitude.MaxRequestBytesV2 {
			add("sending_queue::queue_size", "small-queue", "The sending queue, whose size is in bytes, is smaller than an event may be: a larger event can never be sent")
		}
		if !queue.BlockOnOverflow {
			add("sending_queue::block_on_overflow: false", "full-queue", "A full sending queue refuses events instead of making senders wait")
		}
		if batch := queue.Batch.Get(); batch != nil && len(batch.Partition.MetadataKeys) > 0 {
			add("sending_queue::batch::partition", "partitioned-batches", "Partitioned batches can reorder the events of one user")
		}
	}
	switch {
	case !c.RetryConfig.Enabled:
		add("retry_on_failure::enabled: false", "no-retry", "Without retries, events are lost when Amplitude cannot be reached")
	case c.RetryConfig.MaxElapsedTime > 0:
		add("retry_on_failure::max_elapsed_time", "retries-end", "Events are given up when Amplitude cannot be reached for longer than max_elapsed_time, even with a queue on disk")
	}
	if c.ClientConfig.Timeout == 0 {
		add("timeout: 0", "no-timeout", "Without a timeout, one request that is never answered stops the exporter")
	}
	if c.DeadLetter.Path == "" {
		add("dead_letter::path", "no-dead-letter", "Without a dead letter file, events that Amplitude refuses for good are counted and dropped")
	}
	if u, err := url.Parse(c.url()); err == nil && u.Scheme == "http" && !loopback.IsHost(u.Hostname()) {
		add("endpoint", "plain-http", "The API key goes over the network in clear text: the endpoint begins with http://")
	}
	if c.DryRun {
		add("dry_run: true", "dry-run", "Nothing is sent: this is a dry run")
	}
	return all
}
