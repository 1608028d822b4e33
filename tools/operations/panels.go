// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package operations // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/operations"

import "fmt"

// rate returns the rate of a counter by the given labels.
func rate(by, selector string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s[$__rate_interval]))", by, selector)
}

// quantiles returns three lines with the quantiles of a histogram.
func quantiles(metric string) []Query {
	var queries []Query
	for _, q := range []string{"0.5", "0.95", "0.99"} {
		queries = append(queries, Query{fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s_bucket[$__rate_interval])))", q, metric), "p" + q[2:]})
	}
	queries[0].Legend = "p50"
	return queries
}

// fleet returns a diagnostics metric of replicas that share their counts: all report the same, apart from timing.
func fleet(by, metric string) string {
	return fmt.Sprintf(`max by (flag, experiment_key%s) (otelcol_processor_amplitude_experiment_diagnostics_%s{scope="fleet"})`, by, metric)
}

// replicas returns the same for replicas that each count on their own.
func replicas(by, metric string) string {
	return fmt.Sprintf(`sum by (flag, experiment_key%s) (otelcol_processor_amplitude_experiment_diagnostics_%s{scope="replica"})`, by, metric)
}

// Dashboard shows what goes in, what became of it, and what waits.
var Dashboard = []Row{
	{Title: "At a glance", Panels: []Panel{
		{Title: "Records in", Unit: "cps", Stat: true, Queries: []Query{{`sum(rate(otelcol_receiver_accepted_log_records[$__rate_interval]))`, ""}}},
		{Title: "Events delivered", Unit: "cps", Stat: true, Queries: []Query{{`sum(rate(otelcol_exporter_amplitude_events{outcome="delivered"}[$__rate_interval]))`, ""}}},
		{Title: "Waiting", Description: "In the queue, in the slow lane, and for the dead letter file.", Stat: true, Queries: []Query{
			{`sum(otelcol_exporter_queue_size{exporter=~"amplitude.*"}) + sum(otelcol_exporter_amplitude_slow_lane_events) + sum(otelcol_exporter_amplitude_dead_letters_waiting)`, ""},
		}},
		{Title: "Queue used", Unit: "percentunit", Stat: true, Limit: 0.8, Queries: []Query{
			{`max(otelcol_exporter_queue_size{exporter=~"amplitude.*"} / otelcol_exporter_queue_capacity)`, ""},
		}},
		{Title: "Undeliverable in 24 hours", Description: "Dead-lettered or dropped.", Stat: true, Limit: 1, Queries: []Query{
			{`sum(increase(otelcol_exporter_amplitude_events{outcome=~"dead_lettered|dropped"}[1d]))`, ""},
		}},
		{Title: "Flags", Description: "Distinct flags since startup. Amplitude keeps 1,500 experiment properties per project.", Stat: true, Limit: 1200, Queries: []Query{
			{`max(otelcol_processor_amplitude_experiment_flags)`, ""},
		}},
	}},
	{Title: "Flow: in = out + dropped", Panels: []Panel{
		{Title: "Records by outcome", Description: "Each record has one outcome.", Unit: "cps", Stacked: true, Queries: []Query{
			{rate("outcome", `otelcol_processor_amplitude_experiment_records`), "{{outcome}}"},
		}},
		{
			Title: "Events by outcome", Description: "Final outcomes, and intermediate ones: throttled (moved to the slow lane) and retried.", Unit: "cps",
			Queries: []Query{{rate("outcome", `otelcol_exporter_amplitude_events`), "{{outcome}}"}},
		},
		{
			Title: "What does not add up",
			Description: "Records without an outcome, and events that are neither delivered, refused nor waiting. Values around zero are in flight. " +
				"The exporter is below zero after a restart with events in the queue.",
			Queries: []Query{
				{`sum(otelcol_processor_incoming_items{processor=~"amplitude_experiment.*"}) - sum(otelcol_processor_amplitude_experiment_records)`, "processor"},
				{exporterGap, "{{exporter}} {{instance}}"},
			},
		},
	}},
	{Title: "Processor: exposures and assignments", Panels: []Panel{
		{Title: "Exposures, un-exposures, assignments", Unit: "cps", Queries: []Query{
			{rate("outcome", `otelcol_processor_amplitude_experiment_records{outcome=~"exposure|unexposure|assignment|impression|outcome_event|already_shaped"}`), "{{outcome}}"},
			{`sum(rate(otelcol_processor_amplitude_experiment_late[$__rate_interval]))`, "late"},
			{`sum(rate(otelcol_processor_amplitude_experiment_extra_events[$__rate_interval]))`, "extra events from one record"},
		}},
		{
			Title: "Billable events", Description: "Delivered events that count toward event volume, per hour.",
			Queries: []Query{{`sum by (exporter) (increase(otelcol_exporter_amplitude_billable_events[1h]))`, "{{exporter}}"}},
		},
		{Title: "Repeats", Description: "Share of the experiment records that are repeats, and share of repeats among the events of the others.", Unit: "percentunit", Queries: []Query{
			{
				`sum(rate(otelcol_processor_amplitude_experiment_records{outcome=~"duplicate|repaired"}[$__rate_interval])) / ` +
					`sum(rate(otelcol_processor_amplitude_experiment_records{outcome=~"exposure|unexposure|assignment|already_shaped|duplicate|repaired"}[$__rate_interval]))`, "repeats",
			},
			{
				`sum(rate(otelcol_processor_amplitude_experiment_extra_repeats[$__rate_interval])) / ` +
					`(sum(rate(otelcol_processor_amplitude_experiment_extra_repeats[$__rate_interval])) + ` +
					`sum(rate(otelcol_processor_outgoing_items{processor=~"amplitude_experiment.*"}[$__rate_interval])))`, "repeats next to new events",
			},
		}},
		{
			Title: "Variant changes by flag", Description: "Users who moved between variants, for the ten flags with the most changes.", Unit: "cps",
			Queries: []Query{{`topk(10, ` + rate("flag", `otelcol_processor_amplitude_experiment_variant_changes`) + `)`, "{{flag}}"}},
		},
		{
			Title: "User properties corrected", Description: "By a $identify, in addition to the events. Left alone: properties that change too often.", Unit: "cps",
			Queries: []Query{
				{`sum(rate(otelcol_processor_amplitude_experiment_identifies[$__rate_interval]))`, "$identify"},
				{`sum(rate(otelcol_processor_amplitude_experiment_property_flaps[$__rate_interval]))`, "left alone"},
			},
		},
		{Title: "Skipped, by reason", Description: "Evaluations that are not exposures.", Unit: "cps", Stacked: true, Queries: []Query{
			{rate("reason", `otelcol_processor_amplitude_experiment_skipped`), "{{reason}}"},
		}},
		{Title: "Rejected, by reason", Description: "Records that should have become events but could not.", Unit: "cps", Stacked: true, Queries: []Query{
			{rate("reason", `otelcol_processor_amplitude_experiment_rejected`), "{{reason}}"},
		}},
		{Title: "Near misses, by reason", Description: "A sample of the records that are not recognized but look as if they should be.", Unit: "cps", Stacked: true, Queries: []Query{
			{rate("reason", `otelcol_processor_amplitude_experiment_near_misses`), "{{reason}}"},
			{rate("processor", `otelcol_processor_amplitude_experiment_evaluations_without_reason`), "without a reason, {{processor}}"},
		}},
		{Title: "Claims stripped, by reason", Description: "Attributes under amplitude. that applications may not set.", Unit: "cps", Stacked: true, Queries: []Query{
			{rate("reason", `otelcol_processor_amplitude_experiment_claims_stripped`), "{{reason}}"},
		}},
		{Title: "Left out", Description: "What was left out of events.", Unit: "cps", Queries: []Query{
			{rate("reason", `otelcol_processor_amplitude_experiment_ids_ignored`), "id: {{reason}}"},
			{rate("reason", `otelcol_processor_amplitude_experiment_ids_suspect`), "suspect id, used anyway: {{reason}}"},
			{rate("reason", `otelcol_processor_amplitude_experiment_flags_left_out`), "flag: {{reason}}"},
			{`sum(rate(otelcol_processor_amplitude_experiment_properties_left_out[$__rate_interval]))`, "event property"},
			{`sum(rate(otelcol_processor_amplitude_experiment_groups_left_out[$__rate_interval]))`, "group"},
			{rate("cause", `otelcol_exporter_amplitude_dropped_values`), "value: {{cause}}"},
		}},
		{Title: "Distinct flags (limit 1,500)", Limit: 1500, Queries: []Query{
			{`otelcol_processor_amplitude_experiment_flags`, "{{processor}} {{instance}}"},
		}},
		{Title: "Time per batch", Unit: "s", Queries: []Query{
			{`histogram_quantile(0.99, sum by (le) (rate(otelcol_processor_internal_duration_bucket{processor=~"amplitude_experiment.*"}[$__rate_interval])))`, "p99"},
		}},
	}},
	{Title: "Experiments: counts and sample ratio (off by default)", Panels: []Panel{
		{
			Title: "Evidence of a sample ratio mismatch", Description: "For flags with expected shares. At 4.6 and above, the split is not as expected, no matter how often one looks.", Limit: 4.6,
			Queries: []Query{{fleet("", "evidence") + " or " + replicas("", "evidence"), "{{flag}} {{experiment_key}}"}},
		},
		{Title: "P-value", Description: "The lowest one so far. 0.01 or less is a mismatch.", Queries: []Query{
			{`min by (flag, experiment_key) (otelcol_processor_amplitude_experiment_diagnostics_p_value)`, "{{flag}} {{experiment_key}}"},
		}},
		{Title: "Difference from the expected share", Description: "Of the persons, by the variant that they saw first.", Unit: "percentunit", Queries: []Query{
			{
				`sum by (flag, experiment_key, variant) (otelcol_processor_amplitude_experiment_diagnostics_persons) / on (flag, experiment_key) group_left() ` +
					`sum by (flag, experiment_key) (otelcol_processor_amplitude_experiment_diagnostics_persons) - on (flag, experiment_key, variant) ` +
					`max by (flag, experiment_key, variant) (otelcol_processor_amplitude_experiment_diagnostics_expected_share)`, "{{flag}} {{experiment_key}}: {{variant}}",
			},
		}},
		{Title: "Exposed persons by first variant", Description: "The twenty largest.", Queries: []Query{
			{"topk(20, " + fleet(", variant", "persons") + " or " + replicas(", variant", "persons") + ")", "{{flag}} {{experiment_key}}: {{variant}}"},
		}},
		{Title: "Changed variant, anonymous, or without assignment", Description: "Share of the exposed persons.", Unit: "percentunit", Queries: []Query{
			{
				`sum by (flag, experiment_key, trait) (otelcol_processor_amplitude_experiment_diagnostics_traits{trait=~"changed|device_only|without_assignment"}) / on (flag, experiment_key) group_left() ` +
					`sum by (flag, experiment_key) (otelcol_processor_amplitude_experiment_diagnostics_persons)`, "{{flag}} {{experiment_key}}: {{trait}}",
			},
		}},
		{Title: "From assignment to exposure", Description: "Share of the assigned persons who were exposed.", Unit: "percentunit", Queries: []Query{
			{
				`sum by (flag, experiment_key) (otelcol_processor_amplitude_experiment_diagnostics_traits{trait="assigned_exposed"}) / ` +
					`sum by (flag, experiment_key) (otelcol_processor_amplitude_experiment_diagnostics_traits{trait="assigned"})`, "{{flag}} {{experiment_key}}",
			},
		}},
		{Title: "Exposures and un-exposures of flags", Description: "The twenty busiest.", Unit: "cps", Queries: []Query{
			{"topk(20, " + rate("flag, experiment_key, kind", `otelcol_processor_amplitude_experiment_diagnostics_events`) + ")", "{{flag}} {{experiment_key}}: {{kind}}"},
			{"topk(20, " + rate("flag, experiment_key", `otelcol_processor_amplitude_experiment_diagnostics_late_exposures`) + ")", "{{flag}} {{experiment_key}}: late"},
		}},
		{Title: "Precision", Description: "Share of the persons who are tracked individually. Below 1, numbers of persons are estimates.", Unit: "percentunit", Queries: []Query{
			{`min by (flag, experiment_key) (otelcol_processor_amplitude_experiment_diagnostics_sampled_share)`, "{{flag}} {{experiment_key}}"},
		}},
		{Title: "Not counted, and not stored", Description: "Should be empty.", Unit: "cps", Queries: []Query{
			{rate("reason", `otelcol_processor_amplitude_experiment_diagnostics_not_counted`), "not counted: {{reason}}"},
			{rate("store", `otelcol_processor_amplitude_experiment_diagnostics_failures`), "failures: {{store}}"},
		}},
	}},
	{Title: "De-duplication", Panels: []Panel{
		{Title: "Entries", Description: "Should level off below max_entries.", Queries: []Query{
			{`otelcol_processor_amplitude_experiment_dedup_entries`, "{{processor}} {{instance}}"},
		}},
		{Title: "Evictions", Description: "max_entries: the state is too small. age: normal.", Unit: "cps", Queries: []Query{
			{rate("reason", `otelcol_processor_amplitude_experiment_dedup_evictions`), "{{reason}}"},
		}},
		{Title: "Redis and storage", Description: "Should be empty.", Unit: "cps", Queries: []Query{
			{rate("instance", `otelcol_processor_amplitude_experiment_dedup_redis_failures`), "Redis failures {{instance}}"},
			{rate("instance", `otelcol_processor_amplitude_experiment_dedup_redis_bypassed`), "batches without Redis {{instance}}"},
			{rate("instance", `otelcol_processor_amplitude_experiment_dedup_storage_failures`), "storage failures {{instance}}"},
		}},
	}},
	{Title: "Exporter: delivery", Panels: []Panel{
		{Title: "Requests by status", Unit: "reqps", Stacked: true, Queries: []Query{{rate("status", `otelcol_exporter_amplitude_requests`), "{{status}}"}}},
		{Title: "Request latency", Unit: "s", Queries: quantiles("otelcol_exporter_amplitude_request_duration")},
		{
			Title: "Lateness of events", Description: "From arrival in the exporter to Amplitude's answer, and the age of the oldest waiting event.", Unit: "s",
			Queries: append(quantiles("otelcol_exporter_amplitude_arrival_lateness"),
				Query{`max by (store) (otelcol_exporter_amplitude_oldest_event_age)`, "oldest: {{store}}"}),
		},
		{
			Title: "Lateness since the event's time", Description: "Includes delays before the Collector: offline devices, SDK buffers, wrong clocks.", Unit: "s",
			Queries: quantiles("otelcol_exporter_amplitude_event_lateness"),
		},
		{Title: "Request size", Description: "Before compression.", Unit: "bytes", Queries: quantiles("otelcol_exporter_amplitude_request_size")},
		{Title: "Events per request", Queries: quantiles("otelcol_exporter_amplitude_request_events")},
		{Title: "Undelivered, by reason", Description: "Dead-lettered, dropped or ignored.", Unit: "cps", Stacked: true, Queries: []Query{
			{rate("reason", `otelcol_exporter_amplitude_undelivered_events`), "{{reason}}"},
			{rate("store", `otelcol_exporter_amplitude_unreadable_requests`), "requests that cannot be read back: {{store}}"},
			{rate("exporter, instance", `otelcol_exporter_amplitude_dead_letters_dropped`), "dead letters removed with a backup: {{exporter}} {{instance}}"},
		}},
		{Title: "Throttled and retried", Unit: "cps", Queries: []Query{
			{rate("outcome", `otelcol_exporter_amplitude_events{outcome=~"throttled|retried"}`), "{{outcome}}"},
			{rate("kind", `otelcol_exporter_amplitude_unexpected_answers`), "unexpected answer: {{kind}}"},
		}},
		{Title: "Slow lane", Description: "Waiting events of throttled users.", Queries: []Query{
			{`otelcol_exporter_amplitude_slow_lane_events`, "{{exporter}} {{instance}}"},
		}},
		{Title: "Queue", Queries: []Query{
			{`otelcol_exporter_queue_size{exporter=~"amplitude.*"}`, "{{exporter}} {{instance}}"},
			{`otelcol_exporter_queue_capacity{exporter=~"amplitude.*"}`, "capacity {{exporter}} {{instance}}"},
		}},
		{Title: "Refused by the queue", Unit: "cps", Queries: []Query{
			{rate("exporter, instance", `otelcol_exporter_enqueue_failed_log_records`), "{{exporter}} {{instance}}"},
		}},
	}},
	{Title: "Receiver amplitude: Amplitude's SDKs", Panels: []Panel{
		{Title: "Requests by status", Description: "200: the pipeline has accepted the events. 503: it cannot at the moment, and clients retry.", Unit: "cps", Queries: []Query{
			{rate("endpoint, status", `otelcol_receiver_amplitude_requests`), "{{endpoint}} {{status}}"},
		}},
		{Title: "Requests refused, by reason", Unit: "cps", Stacked: true, Queries: []Query{
			{rate("reason", `otelcol_receiver_amplitude_refusals`), "{{reason}}"},
		}},
		{Title: "Parts of events", Description: "Values left out because Amplitude ignores them or no event can have them, and unknown members that are kept.", Unit: "cps", Queries: []Query{
			{rate("reason", `otelcol_receiver_amplitude_left_out_values`), "left out: {{reason}}"},
			{rate("receiver", `otelcol_receiver_amplitude_unknown_fields`), "unknown field: {{receiver}}"},
		}},
	}},
	{Title: "Receiver and process", Panels: []Panel{
		{Title: "Receiver", Unit: "cps", Queries: []Query{
			{rate("receiver, transport", `otelcol_receiver_accepted_log_records`), "accepted {{receiver}} {{transport}}"},
			{rate("receiver, transport", `otelcol_receiver_refused_log_records`), "refused {{receiver}} {{transport}}"},
			{rate("receiver, transport", `otelcol_receiver_failed_log_records`), "failed {{receiver}} {{transport}}"},
		}},
		{Title: "Memory", Unit: "bytes", Queries: []Query{
			{`otelcol_process_memory_rss`, "resident {{instance}}"},
			{`otelcol_process_runtime_heap_alloc_bytes`, "heap {{instance}}"},
		}},
		{Title: "CPU", Description: "Cores in use.", Queries: []Query{
			{rate("instance", `otelcol_process_cpu_seconds`), "{{instance}}"},
		}},
	}},
}
