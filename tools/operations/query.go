// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package operations // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/operations"

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Use is a label of a metric that a query names. Value is set if the query asks for that value, and Label is
// empty if it names the metric only.
type Use struct{ Metric, Label, Value string }

// tokens of PromQL: a text, a name (or a variable of Grafana), a number or duration, a bracket or comma, an operator.
var tokens = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\$?[A-Za-z_][A-Za-z0-9_:]*|[0-9][A-Za-z0-9_.]*|[{}()\[\],]|[^\sA-Za-z0-9_"{}()\[\],$]+`)

var (
	groupings = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	keywords  = []string{"and", "or", "unless", "offset", "bool", "sum", "min", "max", "avg", "count", "topk"}
	plainName = regexp.MustCompile(`^\$?[A-Za-z_][A-Za-z0-9_:]*$`)
	wordsOnly = regexp.MustCompile(`^[a-z0-9_|]+$`)
)

// query walks through a PromQL text. The syntax itself is promtool's to check.
type query struct {
	catalog Catalog
	text    string
	at      [][]int
	next    int
	uses    []Use
	grouped []string
	// scope is added to the selector of each metric.
	scope string
	out   strings.Builder
	done  int
}

// inspect checks every metric, label and label value of a query against the catalog. It returns what the query
// uses, and the query with scope added to each of its selectors.
func (c Catalog) inspect(text, scope string) ([]Use, string, error) {
	q := &query{catalog: c, text: text, at: tokens.FindAllStringIndex(text, -1), scope: scope}
	if err := q.walk(); err != nil {
		return nil, "", fmt.Errorf("%w, in the query\n%s", err, text)
	}
	q.out.WriteString(text[q.done:])
	return q.uses, q.out.String(), nil
}

func (q *query) token(i int) string {
	if i >= len(q.at) {
		return ""
	}
	return q.text[q.at[i][0]:q.at[i][1]]
}

func (q *query) walk() error {
	for q.next < len(q.at) {
		name := q.token(q.next)
		q.next++
		switch {
		case slices.Contains(groupings, name):
			q.labelList()
		case !plainName.MatchString(name), strings.HasPrefix(name, "$"), slices.Contains(keywords, name), q.token(q.next) == "(":
			// not a metric
		default:
			if err := q.selector(name); err != nil {
				return err
			}
		}
	}
	return q.groupedLabels()
}

func (q *query) labelList() {
	for q.next++; q.token(q.next) != ")" && q.next < len(q.at); q.next++ {
		if label := q.token(q.next); label != "," {
			q.grouped = append(q.grouped, label)
		}
	}
	q.next++
}

// groupedLabels looks for a metric of the query that has each label by which it groups.
func (q *query) groupedLabels() error {
	for _, label := range q.grouped {
		found := false
		for _, use := range slices.Clone(q.uses) {
			if use.Label != "" {
				continue
			}
			metric, err := q.catalog.lookup(use.Metric)
			if err != nil {
				return err
			}
			if _, has := metric.Labels[label]; has {
				found = true
				q.uses = append(q.uses, Use{Metric: use.Metric, Label: label})
			}
		}
		if !found {
			return fmt.Errorf("no metric in the query has the label %s", label)
		}
	}
	return nil
}

// selector reads a metric and its matchers.
func (q *query) selector(name string) error {
	metric, err := q.catalog.lookup(name)
	if err != nil {
		return err
	}
	q.uses = append(q.uses, Use{Metric: name})
	end := q.at[q.next-1][1]
	if q.token(q.next) != "{" {
		if q.scope != "" {
			q.insert(end, "{"+q.scope+"}")
		}
		return nil
	}
	if q.scope != "" {
		q.insert(q.at[q.next][1], q.scope+",")
	}
	for q.next++; q.token(q.next) != "}" && q.next < len(q.at); q.next++ {
		label := q.token(q.next)
		if label == "," {
			continue
		}
		values, has := metric.Labels[label]
		if !has {
			return fmt.Errorf("%s has no label %s, only %s", name, label, strings.Join(sortedKeys(metric.Labels), ", "))
		}
		operator, value := q.token(q.next+1), strings.Trim(q.token(q.next+2), `"`)
		q.next += 2
		q.uses = append(q.uses, Use{Metric: name, Label: label})
		if operator != "=" && !wordsOnly.MatchString(value) {
			continue
		}
		for alternative := range strings.SplitSeq(value, "|") {
			if len(values) > 0 && !slices.Contains(values, alternative) {
				return fmt.Errorf("%s of %s is never %q, only %s", label, name, alternative, strings.Join(values, ", "))
			}
			if operator == "=" || operator == "=~" {
				q.uses = append(q.uses, Use{Metric: name, Label: label, Value: alternative})
			}
		}
	}
	q.next++
	return nil
}

func (q *query) insert(position int, text string) {
	q.out.WriteString(q.text[q.done:position])
	q.out.WriteString(text)
	q.done = position
}
