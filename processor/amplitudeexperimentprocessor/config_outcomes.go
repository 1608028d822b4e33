// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

// OutcomesConfig selects the records that say what a user did, so that experiments can be measured by it. Their
// events count toward event volume, so none are sent unless `events` names them. The exporter's `events` must allow
// them, too.
type OutcomesConfig struct {
	// Events are the names of the records to send; only `*` is special, and it cannot be used alone. None by default.
	Events []string `mapstructure:"events"`
	// Rename maps the name of a record to the name of its event in Amplitude, where they differ.
	Rename map[string]string `mapstructure:"rename"`
	// Tracking configures how calls to OpenFeature's tracking API are read. They are outcomes if `events` lists the
	// name of what they track.
	Tracking TrackingConfig `mapstructure:"tracking"`
	// InsertID are the attributes that may hold an id of the outcome, such as an order id: Amplitude treats events
	// with the same id as one, no matter when and where they are sent. Without one, the id is made of everything in
	// the record: its name, user, time, trace, span, attributes and body.
	InsertID []string `mapstructure:"insert_id"`
	// Properties are patterns of the attributes that are sent as event properties; only `*` is special. None by
	// default.
	Properties []string `mapstructure:"properties"`
	// Revenue are the attributes that may hold the revenue, a number, which may be negative.
	Revenue []string `mapstructure:"revenue"`
	// Price are the attributes that may hold the price of an item, a number. Amplitude prefers price times quantity
	// to the revenue.
	Price []string `mapstructure:"price"`
	// Quantity are the attributes that may hold the number of items, an integer.
	Quantity []string `mapstructure:"quantity"`
	// Currency are the attributes that may hold the three-letter currency code.
	Currency []string `mapstructure:"currency"`
	// MaxPerMinute bounds how many outcomes are sent per clock minute; 0 means no limit.
	MaxPerMinute int `mapstructure:"max_per_minute"`
	// OverLimit is what happens beyond the limit: `drop` rejects outcomes (`outcome_limit`), `wait` refuses their
	// whole request, so that its sender retries it.
	OverLimit string `mapstructure:"over_limit"`
}

// TrackingConfig configures how calls to OpenFeature's tracking API are read. There is no convention for them; the
// defaults are what OpenFeature's examples write.
type TrackingConfig struct {
	// EventNames are the event names that make a record a tracking call. They match exactly.
	EventNames []string `mapstructure:"event_names"`
	// Name are the attributes that may hold the name of what is tracked.
	Name []string `mapstructure:"name"`
}

func createDefaultOutcomesConfig() OutcomesConfig {
	return OutcomesConfig{
		Events: []string{},
		Rename: map[string]string{},
		Tracking: TrackingConfig{
			EventNames: []string{"feature_flag.track"},
			Name:       []string{"feature_flag.event_name", "feature_flag.tracking.event_name"},
		},
		InsertID:   []string{},
		Properties: []string{},
		Revenue:    []string{amplitude.AttrPrefix + "revenue", "revenue"},
		Price:      []string{amplitude.AttrPrefix + "price", "price"},
		Quantity:   []string{amplitude.AttrPrefix + "quantity", "quantity"},
		Currency:   []string{amplitude.AttrPrefix + "currency", "currency"},
		OverLimit:  experiment.OverLimitDrop,
	}
}

// settings returns the settings for the mapping of records.
func (cfg *OutcomesConfig) settings() experiment.OutcomeSettings {
	return experiment.OutcomeSettings{
		Events: cfg.Events, Rename: cfg.Rename, Tracking: experiment.TrackingSettings(cfg.Tracking),
		InsertID: cfg.InsertID, Properties: cfg.Properties,
		Revenue: cfg.Revenue, Price: cfg.Price, Quantity: cfg.Quantity, Currency: cfg.Currency,
		MaxPerMinute: cfg.MaxPerMinute, OverLimit: cfg.OverLimit,
	}
}

// EventTypes are the names that outcomes have in Amplitude: patterns, where the configuration has patterns.
func (cfg *OutcomesConfig) EventTypes() []string {
	types := make([]string, len(cfg.Events))
	for i, name := range cfg.Events {
		types[i] = name
		if to, renamed := cfg.Rename[name]; renamed {
			types[i] = to
		}
	}
	for from, to := range cfg.Rename {
		if !slices.Contains(cfg.Events, from) { // its name comes from a pattern
			types = append(types, to)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *OutcomesConfig) Validate() error {
	errs := []error{
		nameList("events", cfg.Events, false),
		nameList("insert_id", cfg.InsertID, false),
		nameList("properties", cfg.Properties, false),
		nameList("revenue", cfg.Revenue, false),
		nameList("price", cfg.Price, false),
		nameList("quantity", cfg.Quantity, false),
		nameList("currency", cfg.Currency, false),
		check.NotNegative("max_per_minute", cfg.MaxPerMinute),
		check.OneOf("over_limit", cfg.OverLimit, experiment.OverLimitDrop, experiment.OverLimitWait),
	}
	for _, name := range cfg.Events {
		if strings.Trim(name, pattern.Star) == "" {
			errs = append(errs, fmt.Errorf("`events` must name the events to send, because they count toward event volume (got %q, which matches everything)", name))
			continue
		}
		errs = append(errs, outcomeName("events", name))
	}
	listed := pattern.NewList(cfg.Events)
	for _, from := range slices.Sorted(maps.Keys(cfg.Rename)) {
		if !listed.Match(from) {
			errs = append(errs, fmt.Errorf("`rename` must only rename what `events` lists (got %q)", from))
		}
		errs = append(errs, outcomeName("rename", cfg.Rename[from]))
	}
	return errors.Join(errs...)
}

// outcomeName checks the name of an event, or a pattern.
func outcomeName(key, name string) error {
	_, reserved := amplitude.ReservedEventTypes[name]
	switch {
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("`%s` must not give an event a blank name", key)
	case reserved || strings.HasPrefix(name, "$") || strings.HasPrefix(name, "["):
		return fmt.Errorf("`%s` must not name Amplitude's own events, which begin with $ or [ (got %q)", key, name)
	case amplitude.UTF16Length(name) > amplitude.MaxStringLength:
		return fmt.Errorf("`%s` must not have names of more than %d characters", key, amplitude.MaxStringLength)
	}
	return nil
}

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *TrackingConfig) Validate() error {
	return errors.Join(
		nameList("event_names", cfg.EventNames, false),
		nameList("name", cfg.Name, true),
	)
}
