// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/assumptions"

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// options are the command-line options and environment variables.
type options struct {
	apiKey, secretKey string
	region, server    string
	only              []string
	heavy             bool
	wait              time.Duration
	// readRun is the run whose rows are read back by the Export API; nothing is sent then.
	readRun string
}

func main() {
	var o options
	var only, page string
	flag.StringVar(&o.region, "region", "us", "region of the project: us or eu")
	flag.StringVar(&o.server, "server", "", "ask this server instead of Amplitude, such as a sandbox at http://127.0.0.1:8585")
	flag.StringVar(&only, "only", "", "rows to ask, separated by commas; all when empty")
	flag.BoolVar(&o.heavy, "heavy", false, "ask the rows that send thousands of events or what a firewall may object to, too")
	flag.DurationVar(&o.wait, "wait", 5*time.Minute, "how long to wait until what was sent can be read back")
	flag.StringVar(&o.readRun, "run", "", "read back what this run sent by the Export API, which has it two to three hours later, and send nothing")
	flag.StringVar(&page, "page", "", "write the page to this file and ask nothing")
	flag.Parse()
	// Not flags, because every user of the machine can see those.
	o.apiKey, o.secretKey = os.Getenv("API_KEY"), os.Getenv("SECRET_KEY")
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := error(nil)
	if page != "" {
		err = os.WriteFile(page, []byte(renderPage()), 0o644) //nolint:gosec // a public file of the repository
	} else {
		err = check(ctx, o, http.DefaultTransport, os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "assumptions:", err)
		os.Exit(1)
	}
}

// hosts are where events go, and where users are read back.
type hosts struct{ ingestURL, readURL string }

var regions = map[string]hosts{
	"us": {"https://api2.amplitude.com", "https://amplitude.com"},
	"eu": {"https://api.eu.amplitude.com", "https://analytics.eu.amplitude.com"},
}

// hosts checks the options and returns the servers to ask.
func (o *options) hosts() (hosts, error) {
	for _, id := range o.only {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.id == id && r.asks() }) {
			return hosts{}, fmt.Errorf("no row %q can be asked: docs/assumptions.md lists them", id)
		}
	}
	if o.apiKey == "" {
		return hosts{}, errors.New("API_KEY must be the API key of a project for tests: every user who is sent counts as one")
	}
	if o.readRun != "" {
		if _, err := startOf(o.readRun); err != nil || o.secretKey == "" {
			return hosts{}, errors.New("RUN must be the run that a table names, such as 20261126T07-1f2e3d4c, and needs SECRET_KEY")
		}
	}
	if o.server != "" {
		return hosts{strings.TrimSuffix(o.server, "/"), strings.TrimSuffix(o.server, "/")}, nil
	}
	h, known := regions[o.region]
	if !known {
		return hosts{}, fmt.Errorf("region must be us or eu (got %q)", o.region)
	}
	return h, nil
}

// check runs the selected rows that can be checked, and prints the results.
func check(ctx context.Context, o options, transport http.RoundTripper, out io.Writer) error {
	h, err := o.hosts()
	if err != nil {
		return err
	}
	p := newProbe(o, h, transport)
	begin, end := p.begin, p.end
	if o.readRun != "" {
		users, err := p.export(ctx)
		if err != nil {
			return err
		}
		begin, end = func(_ context.Context, r row) result { return result{row: r} }, func(_ context.Context, r *result) { p.exported(users, r) }
	}
	var table []result
	for _, r := range rows {
		if r.asks() && (len(o.only) == 0 || slices.Contains(o.only, r.id)) && (o.readRun == "" || r.read != nil) {
			table = append(table, begin(ctx, r))
		}
	}
	for i := range table {
		end(ctx, &table[i])
	}
	return printTable(out, h, p.run, table)
}

// printTable writes the table. It contains no key and no user.
func printTable(out io.Writer, h hosts, run string, table []result) error {
	wide := 0
	for _, r := range table {
		wide = max(wide, len(r.row.id))
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Asked %s, run %s\n\n", h.ingestURL, run)
	counts := map[string]int{}
	for _, r := range table {
		counts[r.verdict]++
		fmt.Fprintf(&text, "%-*s  %-10s  assumed: %s", wide, r.row.id, r.verdict, r.row.assumed)
		if r.found != "" && r.found != r.row.assumed {
			fmt.Fprintf(&text, "; found: %s", r.found)
		}
		text.WriteByte('\n')
		if r.verdict == verdictOtherwise {
			fmt.Fprintf(&text, "%-*s  %-10s  %s\n", wide, "", "", r.row.otherwise)
		}
	}
	fmt.Fprintf(&text, "\n%d as assumed, %d otherwise, %d not asked, %d without an answer\n",
		counts[verdictAssumed], counts[verdictOtherwise], counts[verdictNotAsked], counts[verdictNoAnswer])
	_, err := io.WriteString(out, text.String())
	return err
}
