// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go run ./generate -root ../..

// Package operations makes the Grafana dashboard and the Prometheus alert rules in deploy/.
//
// Queries are written as plain PromQL. Each metric, label and label value in them is looked up in the
// metadata.yaml that the metric is generated from, ours and the Collector's own, so a metric that is
// renamed there fails `make generate` instead of leaving an empty panel or an alert that never fires.
package operations // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/operations"
