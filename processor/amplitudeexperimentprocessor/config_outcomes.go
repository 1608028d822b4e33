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

// OutcomesConfig says which records tell what a user did that an experiment is measured by. Their events count toward event volume, so
// there are none unless `events` names them. The exporter's `events` have to allow them, too.
type OutcomesConfig struct {
	// Events are the names of the records that are sent; only `*` is special, and it may not stand alone. None by default.
	Events []string `mapstructure:"events"`
	// Rename maps the name of a record to that of its event in Amplitude, where it should have another one.
	Rename map[string]string `mapstructure:"rename"`
	// Tracking says how calls of OpenFeature's tracking API are read. They are outcomes if `events` lists what they track.
	Tracking TrackingConfig `mapstructure:"tracking"`
	// InsertID are the attributes that may hold an id of the outcome, such as that of an order: the same id is the same event to
	// Amplitude, whenever and wherever it is told. Without one, all that the record says makes the id: its name, user, time, trace, span, attributes and body.
	InsertID []string `mapstructure:"insert_id"`
	// Properties are patterns of the names of attributes that travel as event properties; only `*` is special. None by default.
	Properties []string `mapstructure:"properties"`
	// Revenue are the attributes that may hold the revenue, a number; it may be negative.
	Revenue []string `mapstructure:"revenue"`
	// Price are the attributes that may hold the price of an item, a number. Amplitude takes price times quantity before the revenue.
	Price []string `mapstructure:"price"`
	// Quantity are the attributes that may hold the number of items, a whole number.
	Quantity []string `mapstructure:"quantity"`
	// Currency are the attributes that may hold the code of the currency, three letters.
	Currency []string `mapstructure:"currency"`
	// MaxPerMinute bounds how many outcomes go out in a minute of the clock; 0 is no limit.
	MaxPerMinute int `mapstructure:"max_per_minute"`
	// OverLimit is what happens to more: `drop` rejects them (`outcome_limit`), `wait` refuses their whole request, which its sender sends again.
	OverLimit string `mapstructure:"over_limit"`
}

// TrackingConfig says how calls of OpenFeature's tracking API are read. No convention exists for them; the defaults are what
// OpenFeature's examples write.
type TrackingConfig struct {
	// EventNames are the event names that make a record a tracking call, compared exactly.
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

// settings translates the section for the mapping of records.
func (cfg *OutcomesConfig) settings() experiment.OutcomeSettings {
	return experiment.OutcomeSettings{
		Events: cfg.Events, Rename: cfg.Rename, Tracking: experiment.TrackingSettings(cfg.Tracking),
		InsertID: cfg.InsertID, Properties: cfg.Properties,
		Revenue: cfg.Revenue, Price: cfg.Price, Quantity: cfg.Quantity, Currency: cfg.Currency,
		MaxPerMinute: cfg.MaxPerMinute, OverLimit: cfg.OverLimit,
	}
}

// EventTypes are the names that outcomes have in Amplitude: patterns, where the configuration has them.
func (cfg *OutcomesConfig) EventTypes() []string {
	types := make([]string, len(cfg.Events))
	for i, name := range cfg.Events {
		types[i] = name
		if to, renamed := cfg.Rename[name]; renamed {
			types[i] = to
		}
	}
	for from, to := range cfg.Rename {
		if !slices.Contains(cfg.Events, from) { // it has its name from a pattern
			types = append(types, to)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// Validate checks the section; the framework prefixes its name.
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
			errs = append(errs, fmt.Errorf("`events` must name what is sent, since it counts toward event volume (got %q, which is everything)", name))
			continue
		}
		errs = append(errs, outcomeName("events", name))
	}
	listed := pattern.NewList(cfg.Events)
	for _, from := range slices.Sorted(maps.Keys(cfg.Rename)) {
		if !listed.Match(from) {
			errs = append(errs, fmt.Errorf("`rename` must rename what `events` lists (got %q)", from))
		}
		errs = append(errs, outcomeName("rename", cfg.Rename[from]))
	}
	return errors.Join(errs...)
}

// outcomeName checks the name of an event, or a pattern of some.
func outcomeName(key, name string) error {
	_, reserved := amplitude.ReservedEventTypes[name]
	switch {
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("`%s` must not give an event a blank name", key)
	case reserved || strings.HasPrefix(name, "$") || strings.HasPrefix(name, "["):
		return fmt.Errorf("`%s` must not name events of Amplitude's own, which begin with $ or [ (got %q)", key, name)
	case amplitude.UTF16Length(name) > amplitude.MaxStringLength:
		return fmt.Errorf("`%s` must not have names of more than %d characters", key, amplitude.MaxStringLength)
	}
	return nil
}

// Validate checks the section; the framework prefixes its name.
func (cfg *TrackingConfig) Validate() error {
	return errors.Join(
		nameList("event_names", cfg.EventNames, false),
		nameList("name", cfg.Name, true),
	)
}
