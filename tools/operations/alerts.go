// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package operations // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/operations"

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// runbook is where each alert is explained; the anchor is the alert's name in lower case.
const runbook = "https://github.com/otelcol-amplitude/otelcol-amplitude/blob/main/docs/operations.md#"

// severity of an alert: critical pages someone, warning can wait until the morning.
type severity string

const (
	critical severity = "critical"
	warning  severity = "warning"
)

// Alert is a rule for when someone has to look.
type Alert struct {
	Name     string
	Severity severity
	// Query is true for each series that it returns.
	Query string
	// For is how long it must stay true.
	For                  string
	Summary, Description string
}

// rises is true while a counter rises, and for 15 minutes after it last did. A counter has no series before its
// first event, and increase() does not see a first value, so a series that is new counts as risen.
func rises(selector string) string {
	return fmt.Sprintf("increase(%[1]s[15m]) > 0\nor\n(%[1]s unless %[1]s offset 15m) > 0", selector)
}

// share returns the share of the persons of a run that have a trait, for runs with at least a hundred persons. Replicas that
// share their counts report the same numbers, which does not change the share.
func share(trait string) string {
	return fmt.Sprintf(`sum by (job, flag, experiment_key) (otelcol_processor_amplitude_experiment_diagnostics_traits{trait=%q})
/
(sum by (job, flag, experiment_key) (otelcol_processor_amplitude_experiment_diagnostics_persons) >= 100)`, trait)
}

// Alerts are the rules of deploy/prometheus/alerts.yaml.
var Alerts = []Alert{
	{
		Name: "AmplitudeCollectorDown", Severity: critical, For: "2m",
		Query:       `up{job="otelcol-amplitude"} == 0 or absent(up{job="otelcol-amplitude"})`,
		Summary:     "The Collector is down.",
		Description: "Prometheus cannot scrape the job otelcol-amplitude. Applications cannot send, and drop what they cannot buffer.",
	},
	{
		Name: "AmplitudeInvalidAPIKey", Severity: critical,
		Query:       rises(`otelcol_exporter_amplitude_requests{status="invalid_api_key"}`),
		Summary:     "Amplitude refuses the API key.",
		Description: "{{ $labels.exporter }} on {{ $labels.instance }} delivers nothing. Its events wait and are sent once the key is fixed.",
	},
	{
		Name: "AmplitudeEventsDropped", Severity: critical,
		Query:       rises(`otelcol_exporter_amplitude_events{outcome="dropped"}`),
		Summary:     "Events are lost.",
		Description: "{{ $labels.exporter }} on {{ $labels.instance }} has undeliverable events and no working dead letter file.",
	},
	{
		Name: "AmplitudeRequestsUnreadable", Severity: critical,
		Query:       rises(`otelcol_exporter_amplitude_unreadable_requests`),
		Summary:     "Events on disk are lost.",
		Description: "{{ $labels.exporter }} on {{ $labels.instance }} could not read requests of the {{ $labels.store }} back from disk.",
	},
	{
		Name: "AmplitudeDeadLetters", Severity: warning,
		Query:       rises(`otelcol_exporter_amplitude_events{outcome="dead_lettered"}`),
		Summary:     "Events go to the dead letter file.",
		Description: "{{ $labels.exporter }} on {{ $labels.instance }} has events that Amplitude does not accept. The metric undelivered_events says why.",
	},
	{
		Name: "AmplitudeDeadLettersWaiting", Severity: warning, For: "5m",
		Query:       `otelcol_exporter_amplitude_dead_letters_waiting > 0`,
		Summary:     "The dead letter file cannot be written.",
		Description: "{{ $value | humanize }} dead letters of {{ $labels.exporter }} on {{ $labels.instance }} wait because their file cannot be written, or is full with all its backups. At 10,000, all events wait.",
	},
	{
		Name: "AmplitudeNothingDelivered", Severity: critical, For: "15m",
		Query: `sum by (job, instance, exporter) (rate(otelcol_exporter_amplitude_received_events[10m])) > 0
unless
sum by (job, instance, exporter) (rate(otelcol_exporter_amplitude_events{outcome=~"delivered|ignored|dry_run"}[10m])) > 0`,
		Summary:     "Events come in, but none reach Amplitude.",
		Description: "{{ $labels.exporter }} on {{ $labels.instance }} has delivered nothing for 15 minutes. The queue holds the events until it is full.",
	},
	{
		Name: "AmplitudeEventsLate", Severity: warning, For: "5m",
		Query:       `otelcol_exporter_amplitude_oldest_event_age{store="sending_queue"} > 600`,
		Summary:     "Events are late.",
		Description: "The oldest undelivered event of {{ $labels.exporter }} on {{ $labels.instance }} arrived {{ $value | humanizeDuration }} ago.",
	},
	{
		Name: "AmplitudeProjectThrottled", Severity: warning, For: "10m",
		Query: `sum by (job, instance, exporter) (rate(otelcol_exporter_amplitude_requests{status="429"}[10m])) > 0
and
sum by (job, instance, exporter) (rate(otelcol_exporter_amplitude_events{outcome="retried"}[10m])) > 0`,
		Summary:     "Amplitude throttles the whole project.",
		Description: "{{ $labels.exporter }} on {{ $labels.instance }} gets 429 and has to wait. Events are late, not lost.",
	},
	{
		Name: "AmplitudeSlowLaneGrowing", Severity: warning, For: "30m",
		Query:       `otelcol_exporter_amplitude_slow_lane_events > 1000 and deriv(otelcol_exporter_amplitude_slow_lane_events[30m]) > 0`,
		Summary:     "Events of throttled users pile up.",
		Description: "{{ $value | humanize }} events wait in the slow lane of {{ $labels.exporter }} on {{ $labels.instance }}. When it is full (slow_lane::max_events), all events wait.",
	},
	{
		Name: "AmplitudeAnswersDisagree", Severity: warning,
		Query:       rises(`otelcol_exporter_amplitude_unexpected_answers`),
		Summary:     "Amplitude's answers do not match the events sent.",
		Description: "Successful answers to {{ $labels.instance }} contradict themselves ({{ $labels.kind }}): there is a proxy in between, or Amplitude's API has changed.",
	},
	{
		Name: "AmplitudeQueueFilling", Severity: warning, For: "10m",
		Query: `predict_linear(otelcol_exporter_queue_size{exporter=~"amplitude.*"}[30m], 4 * 3600) > 0.99 * otelcol_exporter_queue_capacity
and
otelcol_exporter_queue_size > 0.1 * otelcol_exporter_queue_capacity`,
		Summary:     "The queue is full, or will be within four hours.",
		Description: "{{ $labels.exporter }} on {{ $labels.instance }} receives more than it can deliver.",
	},
	{
		Name: "AmplitudeQueueRefusing", Severity: critical,
		Query:       rises(`otelcol_exporter_enqueue_failed_log_records{exporter=~"amplitude.*"}`),
		Summary:     "The queue refuses events.",
		Description: "The queue of {{ $labels.exporter }} on {{ $labels.instance }} is full or cannot be written. Senders get an error and have to retry.",
	},
	{
		Name: "AmplitudeSendersRefused", Severity: warning, For: "5m",
		Query: `sum by (job, instance, receiver) (rate(otelcol_receiver_refused_log_records[5m]) + rate(otelcol_receiver_failed_log_records[5m])) > 0
or
sum by (job, instance, receiver) (rate(otelcol_receiver_amplitude_refusals{reason="next"}[5m])) > 0`,
		Summary:     "Requests from applications are refused.",
		Description: "{{ $labels.receiver }} on {{ $labels.instance }} refuses records, because of the memory_limiter or a full queue. Applications lose what they cannot buffer.",
	},
	{
		Name: "AmplitudeUploadsRefused", Severity: warning, For: "30m",
		Query: `sum by (job, instance, receiver) (rate(otelcol_receiver_amplitude_refusals{reason!~"next|invalid_path"}[30m]))
> 0.05 *
sum by (job, instance, receiver) (rate(otelcol_receiver_amplitude_requests{endpoint!="other"}[30m]))`,
		Summary:     "More than 5 % of the requests of Amplitude's SDKs are refused.",
		Description: "{{ $labels.receiver }} on {{ $labels.instance }} cannot accept them, and clients drop the events in them. The metric receiver_amplitude_refusals says why.",
	},
	{
		Name: "AmplitudeNoEvents", Severity: warning, For: "30m",
		Query: `sum by (job, instance) (rate(otelcol_receiver_accepted_log_records[30m])) > 0
unless
sum by (job, instance) (rate(otelcol_processor_amplitude_experiment_records{outcome=~"exposure|unexposure|assignment|already_shaped|duplicate"}[30m])) > 0`,
		Summary:     "Records come in, but none become experiment events.",
		Description: "{{ $labels.instance }} accepts log records but recognizes none. An application may have changed its event names.",
	},
	{
		Name: "AmplitudeRecordsRejected", Severity: warning, For: "30m",
		Query: `sum by (job, instance, processor) (rate(otelcol_processor_amplitude_experiment_records{outcome="rejected"}[30m]))
> 0.05 *
sum by (job, instance, processor) (rate(otelcol_processor_amplitude_experiment_records{outcome!~"passed|dropped"}[30m]))`,
		Summary:     "More than 5 % of the experiment records are rejected.",
		Description: "{{ $labels.processor }} on {{ $labels.instance }} cannot turn them into events. The metric rejected says why.",
	},
	{
		Name: "AmplitudeSampleRatioMismatch", Severity: warning,
		Query: `min by (job, flag, experiment_key) (otelcol_processor_amplitude_experiment_diagnostics_p_value) <= 0.01
or
sum by (job, flag, experiment_key) (otelcol_processor_amplitude_experiment_diagnostics_evidence{scope="replica"}) >= 4.6`,
		Summary:     "An experiment is not split as configured.",
		Description: "The persons of the flag {{ $labels.flag }} ({{ $labels.experiment_key }}) are not split between its variants as diagnostics::expected says. Do not trust its results before you know why.",
	},
	{
		Name: "AmplitudeVariantsJump", Severity: warning, For: "30m",
		Query:       share("changed") + "\n> 0.05",
		Summary:     "Persons see more than one variant of a flag.",
		Description: "{{ $value | humanizePercentage }} of the persons of the flag {{ $labels.flag }} ({{ $labels.experiment_key }}) saw more than one variant.",
	},
	{
		Name: "AmplitudeExposedWithoutAssignment", Severity: warning, For: "30m",
		Query:       share("without_assignment") + "\n> 0.1",
		Summary:     "Persons are exposed without having been assigned.",
		Description: "{{ $value | humanizePercentage }} of the persons of the flag {{ $labels.flag }} ({{ $labels.experiment_key }}) have no assignment on the day of their exposure.",
	},
	{
		Name: "AmplitudePersonsPartlyAnonymous", Severity: warning, For: "30m",
		Query:       share("device_only") + "\n> 0.2\nunless\n" + share("device_only") + "\n> 0.9",
		Summary:     "An experiment has both users and anonymous devices.",
		Description: "{{ $value | humanizePercentage }} of the persons of the flag {{ $labels.flag }} ({{ $labels.experiment_key }}) are devices without a user. A person who is seen as both counts twice.",
	},
	{
		Name: "AmplitudeExposuresLate", Severity: warning, For: "30m",
		Query: `sum by (job, flag, experiment_key) (increase(otelcol_processor_amplitude_experiment_diagnostics_late_exposures[1h]))
/
(sum by (job, flag, experiment_key) (increase(otelcol_processor_amplitude_experiment_diagnostics_events{kind="exposure"}[1h])) >= 100)
> 0.1`,
		Summary:     "Exposures of a flag arrive late.",
		Description: "{{ $value | humanizePercentage }} of the exposures of the flag {{ $labels.flag }} ({{ $labels.experiment_key }}) arrived after something newer.",
	},
	{
		Name: "AmplitudeFlagsNearLimit", Severity: warning, For: "10m",
		Query:       `otelcol_processor_amplitude_experiment_flags > 1200`,
		Summary:     "The number of flags is close to Amplitude's limit.",
		Description: "{{ $value | humanize }} distinct flags on {{ $labels.instance }}; Amplitude keeps 1,500 experiment properties in a project and ignores the rest.",
	},
	{
		Name: "AmplitudeRedisUnavailable", Severity: warning, For: "5m",
		Query:       `rate(otelcol_processor_amplitude_experiment_dedup_redis_bypassed[5m]) > 0 or rate(otelcol_processor_amplitude_experiment_dedup_redis_failures[5m]) > 0`,
		Summary:     "Redis is unavailable; each replica de-duplicates on its own.",
		Description: "{{ $labels.processor }} on {{ $labels.instance }} forwards what it cannot check. Amplitude drops repeats by insert_id, but a change and its return can be missed.",
	},
	{
		Name: "AmplitudeDedupStorageFailing", Severity: warning, For: "5m",
		Query:       `rate(otelcol_processor_amplitude_experiment_dedup_storage_failures[5m]) > 0`,
		Summary:     "The de-duplication state cannot be stored.",
		Description: "After a restart, {{ $labels.instance }} will not know what was sent. Check the disk and the Collector's log.",
	},
	{
		Name: "AmplitudeEvictionsHigh", Severity: warning, For: "30m",
		Query: `sum by (job, instance, processor) (rate(otelcol_processor_amplitude_experiment_dedup_evictions{reason="max_entries"}[30m]))
> 0.05 *
sum by (job, instance, processor) (rate(otelcol_processor_amplitude_experiment_records[30m]))`,
		Summary:     "The de-duplication state is too small.",
		Description: "{{ $labels.processor }} on {{ $labels.instance }} forgets subjects that are still in use, so repeats are sent again.",
	},
	{
		Name: "AmplitudeRecordsDoNotAddUp", Severity: critical, For: "30m",
		Query: `abs(
  sum by (job, instance, processor) (otelcol_processor_incoming_items{processor=~"amplitude_experiment.*"})
  - sum by (job, instance, processor) (otelcol_processor_amplitude_experiment_records)
)
> 100 + 0.001 *
sum by (job, instance, processor) (otelcol_processor_incoming_items{processor=~"amplitude_experiment.*"})
unless on (job, instance)
otelcol_exporter_queue_size{exporter=~"amplitude.*"} > 0.9 * otelcol_exporter_queue_capacity`,
		Summary:     "Records are missing between the processor's input and its outcomes.",
		Description: "{{ $value | humanize }} records of {{ $labels.processor }} on {{ $labels.instance }} have no outcome. This is a bug: please report it.",
	},
	{
		Name: "AmplitudeEventsDoNotAddUp", Severity: critical, For: "30m",
		Query:   exporterGap + "\n> 100 + 0.001 * sum by (job, instance, exporter) (otelcol_exporter_amplitude_received_events)",
		Summary: "Events are missing between the exporter's input and its outcomes.",
		Description: "{{ $value | humanize }} events of {{ $labels.exporter }} on {{ $labels.instance }} are neither delivered, refused nor waiting. " +
			"This is a bug: please report it.",
	},
}

// exporterGap is what the exporter's counts do not account for: received = final outcomes + queued + in the slow lane +
// waiting for the dead letter file. Events found in the queue after a restart are delivered without being received by this
// process, so it can be negative.
const exporterGap = `sum by (job, instance, exporter) (otelcol_exporter_amplitude_received_events)
- sum by (job, instance, exporter) (otelcol_exporter_amplitude_events{outcome=~"delivered|dead_lettered|dropped|ignored|dry_run"})
- sum by (job, instance, exporter) (otelcol_exporter_queue_size{exporter=~"amplitude.*"})
- sum by (job, instance, exporter) (otelcol_exporter_amplitude_slow_lane_events)
- sum by (job, instance, exporter) (otelcol_exporter_amplitude_dead_letters_waiting)`

type ruleFile struct {
	Groups []ruleGroup `yaml:"groups"`
}

type ruleGroup struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// Rules returns the alert rules as Prometheus reads them, and what they use.
func (c Catalog) Rules(alerts []Alert) ([]byte, []Use, error) {
	var uses []Use
	group := ruleGroup{Name: "otelcol-amplitude"}
	for _, alert := range alerts {
		used, _, err := c.inspect(alert.Query, "")
		if err != nil {
			return nil, nil, fmt.Errorf("alert %s: %w", alert.Name, err)
		}
		uses = append(uses, used...)
		group.Rules = append(group.Rules, rule{
			Alert: alert.Name, Expr: alert.Query, For: alert.For,
			Labels: map[string]string{"severity": string(alert.Severity)},
			Annotations: map[string]string{
				"summary": alert.Summary, "description": alert.Description,
				"runbook_url": runbook + strings.ToLower(alert.Name),
			},
		})
	}
	var b bytes.Buffer
	b.WriteString("# Code generated by tools/operations. DO NOT EDIT.\n# What each alert means and what to do: docs/operations.md\n")
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(ruleFile{Groups: []ruleGroup{group}}); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), uses, encoder.Close()
}
