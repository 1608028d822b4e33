// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// summary is the shop's books, as it prints them: see examples/shop-go/books.go.
type summary struct {
	Records     int                          `json:"records"`
	Exposures   int                          `json:"exposures"`
	Assignments int                          `json:"assignments"`
	Repeats     int                          `json:"repeats"`
	Skipped     int                          `json:"skipped"`
	Users       map[string]map[string]string `json:"users"`
	// Orders counts all orders, OrdersByVariant those of the users in each variant of checkout-flow.
	Orders          int            `json:"orders"`
	OrdersByVariant map[string]int `json:"orders_by_variant"`
	// PageRepeats are the dropped repeats as counted on the sandbox's page.
	PageRepeats int `json:"-"`
}

// recordsMetric counts the repeats that the processor dropped.
const recordsMetric = `otelcol_processor_amplitude_experiment_records`

// waitForArrival reads the sandbox until it holds what the shop sent, or time is up. It returns what arrived, in the
// form of the shop's books, and each difference as a line.
func waitForArrival(ctx context.Context, sent summary, wait time.Duration) (arrived summary, differences []string) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		seen, err := readArrived(ctx, sent)
		if err == nil {
			arrived = seen
			if differences = compare(sent, arrived); len(differences) == 0 {
				return arrived, nil
			}
		}
		select {
		case <-ctx.Done():
			if err != nil && len(differences) == 0 {
				differences = []string{err.Error()}
			}
			return arrived, differences
		case <-time.After(pollInterval):
		}
	}
}

// readArrived asks the sandbox for events and users, and the Collector for the repeats it dropped.
func readArrived(ctx context.Context, sent summary) (summary, error) {
	arrived := summary{Records: sent.Records, Skipped: sent.Skipped, Users: map[string]map[string]string{}}
	var stats struct {
		EventsByType map[string]int `json:"events_by_type"`
		Records      map[string]int `json:"records"`
	}
	if err := getJSON(ctx, sandboxURL+"/_sandbox/stats", &stats); err != nil {
		return arrived, err
	}
	arrived.Exposures = stats.EventsByType["[Experiment] Exposure"]
	arrived.Assignments = stats.EventsByType["[Experiment] Assignment"]
	arrived.Orders = stats.EventsByType[orderPlaced]
	arrived.PageRepeats = stats.Records["duplicate"] + stats.Records["repaired"]
	var err error
	if arrived.Repeats, err = readRepeats(ctx); err != nil {
		return arrived, err
	}
	if arrived.OrdersByVariant, err = readOrders(ctx); err != nil {
		return arrived, err
	}
	for id := range sent.Users {
		var user struct {
			Properties map[string]any `json:"user_properties"`
		}
		err := getJSON(ctx, sandboxURL+"/_sandbox/users/"+url.PathEscape(id), &user)
		if status := (*unexpectedStatus)(nil); errors.As(err, &status) && status.code == http.StatusNotFound {
			continue // no event of this user has arrived
		}
		if err != nil {
			return arrived, err
		}
		properties := map[string]string{}
		for name, value := range user.Properties {
			properties[name] = fmt.Sprint(value)
		}
		arrived.Users[id] = properties
	}
	return arrived, nil
}

// orderPlaced is the event name of the shops' orders in Amplitude, boughtIn the flag whose variants are compared.
const (
	orderPlaced = "Order Placed"
	boughtIn    = "checkout-flow"
)

// readOrders reads from the sandbox's experiments how many orders the users in each variant placed.
func readOrders(ctx context.Context) (map[string]int, error) {
	var page struct {
		Experiments []struct {
			Flag     string `json:"flag"`
			Variants []struct {
				Variant  string `json:"variant"`
				Outcomes []struct {
					EventType string `json:"event_type"`
					Events    int    `json:"events"`
				} `json:"outcomes"`
			} `json:"variants"`
		} `json:"experiments"`
	}
	if err := getJSON(ctx, sandboxURL+"/_sandbox/experiments", &page); err != nil {
		return nil, err
	}
	orders := map[string]int{}
	for _, experiment := range page.Experiments {
		if experiment.Flag != boughtIn {
			continue
		}
		for _, variant := range experiment.Variants {
			for _, outcome := range variant.Outcomes {
				if outcome.EventType == orderPlaced {
					orders[variant.Variant] += outcome.Events
				}
			}
		}
	}
	return orders, nil
}

func getJSON(ctx context.Context, address string, into any) error {
	response, err := get(ctx, address)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	return nil
}

// readRepeats reads from the Collector's Prometheus endpoint how many records were repeats, including those that left a
// $identify to set the property again.
func readRepeats(ctx context.Context) (int, error) {
	response, err := get(ctx, metricsURL)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	repeats := 0
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, recordsMetric) && (strings.Contains(line, `outcome="duplicate"`) || strings.Contains(line, `outcome="repaired"`)) {
			value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			if err != nil {
				return 0, err
			}
			repeats += int(value)
		}
	}
	return repeats, lines.Err()
}

func compare(sent, arrived summary) (differences []string) {
	differ := func(what string, want, got any) {
		if want != got {
			differences = append(differences, fmt.Sprintf("%s: the shop says %v, found %v", what, want, got))
		}
	}
	differ("exposures", sent.Exposures, arrived.Exposures)
	differ("assignments", sent.Assignments, arrived.Assignments)
	differ("orders", sent.Orders, arrived.Orders)
	differ("orders by variant of "+boughtIn, fmt.Sprint(sent.OrdersByVariant), fmt.Sprint(arrived.OrdersByVariant)) // a nil map prints as an empty one
	differ("repeats dropped", sent.Repeats, arrived.Repeats)
	differ("repeats dropped, on the page", sent.Repeats, arrived.PageRepeats)
	for _, id := range slices.Sorted(maps.Keys(sent.Users)) {
		differ("experiment properties of "+id, fmt.Sprint(sent.Users[id]), fmt.Sprint(arrived.Users[id]))
	}
	return differences
}

func printReport(w io.Writer, sent, arrived summary, differences []string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\n\tthe shop says\tarrived\t\n")
	for _, row := range []struct {
		what          string
		sent, arrived int
	}{
		{"exposures", sent.Exposures, arrived.Exposures},
		{"assignments", sent.Assignments, arrived.Assignments},
		{"orders", sent.Orders, arrived.Orders},
		{"repeats dropped", sent.Repeats, arrived.Repeats},
		{"users", len(sent.Users), len(arrived.Users)},
	} {
		fmt.Fprintf(table, "%s\t%d\t%d\t\n", row.what, row.sent, row.arrived)
	}
	_ = table.Flush()
	fmt.Fprintf(w, "%d log records in total, %d of them evaluations of a flag that is the same for everyone\n", sent.Records, sent.Skipped)

	if len(arrived.OrdersByVariant) > 0 {
		fmt.Fprintf(w, "orders by variant of %s:", boughtIn)
		for _, variant := range slices.Sorted(maps.Keys(arrived.OrdersByVariant)) {
			fmt.Fprintf(w, "  %s %d", variant, arrived.OrdersByVariant[variant])
		}
		fmt.Fprintln(w)
	}
	if users := slices.Sorted(maps.Keys(arrived.Users)); len(users) > 0 {
		id := users[0]
		fmt.Fprintf(w, "\nexperiment properties of %s\n", id)
		for _, name := range slices.Sorted(maps.Keys(arrived.Users[id])) {
			fmt.Fprintf(w, "  %-30s %s\n", name, arrived.Users[id][name])
		}
	}
	if len(differences) > 0 {
		fmt.Fprintf(w, "\nNOT as the shop says:\n")
		for _, d := range differences[:min(len(differences), tailLines)] {
			fmt.Fprintln(w, " ", d)
		}
		return
	}
	fmt.Fprintf(w, "\nEverything arrived as the shop says, and each user has the right properties.\n")
}
