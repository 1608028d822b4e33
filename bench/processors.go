// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/logdedupprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

// newProcessor starts a processor with nothing behind it.
func newProcessor(factory processor.Factory, config map[string]any, next consumer.Logs) (processor.Logs, error) {
	cfg := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(config).Unmarshal(cfg); err != nil {
		return nil, err
	}
	if err := confmap.Validate(cfg); err != nil {
		return nil, err
	}
	p, err := factory.CreateLogs(context.Background(), processortest.NewNopSettings(factory.Type()), cfg, next)
	if err != nil {
		return nil, err
	}
	return p, p.Start(context.Background(), componenttest.NewNopHost())
}

func processorContender(name, note string, factory processor.Factory, config map[string]any) (contender, component.Component, error) {
	p, err := newProcessor(factory, config, consumertest.NewNop())
	if err != nil {
		return contender{}, nil, fmt.Errorf("%s: %w", name, err)
	}
	return contender{name: name, note: note, consume: p.ConsumeLogs}, p, nil
}

func ours() (contender, component.Component, error) {
	return processorContender("amplitude_experiment", "", amplitudeexperimentprocessor.NewFactory(),
		map[string]any{"dedup": map[string]any{"max_entries": 2_000_000}})
}

// The mapping of W1 in OTTL. It does not check ids or times, which would cost it more.
const transformCondition = `event_name == "feature_flag.evaluation" and attributes["feature_flag.result.reason"] != "default"`

var transformStatements = []any{
	`set(attributes["[Experiment] Flag Key"], attributes["feature_flag.key"])`,
	`set(attributes["[Experiment] Variant"], attributes["feature_flag.result.variant"])`,
	`set(attributes["amplitude.user_id"], attributes["user.id"])`,
	`set(attributes["amplitude.insert_id"], Concat([attributes["user.id"], "", XXH128(Concat([attributes["user.id"], attributes["feature_flag.key"], attributes["feature_flag.result.variant"]], "|")), FormatTime(time, "%Y-%m-%d")], " "))`,
	`set(attributes[Concat(["amplitude.user_properties.$set.[Experiment] ", attributes["feature_flag.key"]], "")], attributes["feature_flag.result.variant"])`,
	`set(event_name, "[Experiment] Exposure")`,
	`delete_matching_keys(attributes, "^(feature_flag|user|other)[.]")`,
	`set(severity_number, 0)`,
}

// transformW1 is the mapping of W1 as a user would write it in OTTL. It cannot remember, so it drops
// no repeats and numbers no transitions; it cannot loop over a map, so it cannot do W2.
func transformW1() (contender, component.Component, error) {
	return processorContender("transform (OTTL)", "does not drop repeats", transformprocessor.NewFactory(), map[string]any{
		"error_mode": "propagate",
		"log_statements": []any{map[string]any{
			"context":    "log",
			"conditions": []any{transformCondition},
			"statements": transformStatements,
		}},
	})
}

// restarted is a processor that hands on what it holds back when it is shut down, and is then started again.
type restarted struct {
	processor.Logs
	start func() (processor.Logs, error)
}

func (r *restarted) flush() error {
	if err := r.Shutdown(context.Background()); err != nil {
		return err
	}
	next, err := r.start()
	r.Logs = next
	return err
}

// dedupW3 aggregates repeats by what makes an exposure. It holds records back until its interval
// ends, and gives them the time of that end, which is wrong for exposures. A round is one interval.
func dedupW3() (contender, component.Component, error) {
	r := &restarted{start: func() (processor.Logs, error) {
		return newProcessor(logdedupprocessor.NewFactory(), map[string]any{
			"interval":       "1h",
			"include_fields": []any{"attributes.user\\.id", "attributes.feature_flag\\.key", "attributes.feature_flag\\.result\\.variant"},
		}, consumertest.NewNop())
	}}
	var err error
	r.Logs, err = r.start()
	return contender{
		name: "log_dedup (user, flag, variant)", note: "no mapping; delays records and overwrites their time; allocations exclude the end of its interval",
		consume: func(ctx context.Context, logs plog.Logs) error { return r.ConsumeLogs(ctx, logs) }, flush: r.flush,
	}, r, err
}

// clone is what a pipeline pays for a processor that changes data it shares: a floor of its kind.
func clone() contender {
	return contender{name: "copy of the batch (plog clone)", note: "a lower bound, not a processor", consume: func(_ context.Context, logs plog.Logs) error {
		logs.CopyTo(plog.NewLogs())
		return nil
	}}
}

// decode is the receiver's own cost for the same bytes.
func decode() contender {
	return contender{name: "decoding the same bytes", note: "what the receiver does first", decode: true}
}
