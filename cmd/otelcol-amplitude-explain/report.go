// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"
)

// checkFiles runs the cases of all files and prints each result; the exit status is 1 if one fails.
func checkFiles(ctx context.Context, o *options, stdout io.Writer) (status int, err error) {
	report := junit{}
	failed, total := 0, 0
	for _, path := range o.expect {
		outcomes, err := check(ctx, path, o)
		if err != nil {
			return exitUnreadable, err
		}
		for i := range outcomes {
			if len(outcomes[i].differences) > 0 {
				failed++
			}
			if _, err := io.WriteString(stdout, outcomes[i].text()); err != nil {
				return exitUnreadable, err
			}
		}
		total += len(outcomes)
		report.add(path, outcomes)
	}
	if _, err := fmt.Fprintf(stdout, "%d %s: %d as expected, %d not\n", total, plural("case", total), total-failed, failed); err != nil {
		return exitUnreadable, err
	}
	if o.junit != "" {
		if err := report.write(o.junit); err != nil {
			return exitUnreadable, err
		}
	}
	if failed > 0 {
		return exitDifferent, nil
	}
	return 0, nil
}

func (o *outcome) text() string {
	if len(o.differences) == 0 {
		return "ok    " + o.name + "\n"
	}
	return "FAIL  " + o.name + "\n      " + strings.Join(o.differences, "\n      ") + "\n"
}

// junit is a report in the format that CI systems read.
type junit struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Seconds string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (r *junit) add(path string, outcomes []outcome) {
	s := junitSuite{Name: path, Tests: len(outcomes)}
	for i := range outcomes {
		o := &outcomes[i]
		c := junitCase{Name: o.name, Class: path, Seconds: fmt.Sprintf("%.3f", o.took.Seconds())}
		if len(o.differences) > 0 {
			s.Failures++
			c.Failure = &junitFailure{Message: o.differences[0], Text: strings.Join(o.differences, "\n")}
		}
		s.Cases = append(s.Cases, c)
	}
	r.Suites = append(r.Suites, s)
}

func (r *junit) write(path string) error {
	text, err := xml.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append([]byte(xml.Header), append(text, '\n')...), 0o644) //nolint:gosec // a report that others may read
}
