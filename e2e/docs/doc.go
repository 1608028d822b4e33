// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package docs tests what the Markdown files of this repository say: links, configurations, records and their
// events, the truth table, excerpts of files, hooks, and (with the build tag docs, `make docs-test`) commands.
//
// A comment on the line before a fenced block says how it is tested. Blocks of YAML, JSON and commands must have one:
//
//	<!-- test: validate -->            a configuration, or a part of one over config.example.yaml: the Collector's own check
//	<!-- test: file NAME -->           a file that the commands of the page use; of YAML, also validated
//	<!-- test: manifest -->            lines of builder-config.yaml, versions and paths aside; `manifest PATH` is also built, PATH from the checkout
//	<!-- test: part of PATH -->        the YAML of the block is in the file
//	<!-- test: from PATH -->           the lines of the block stand in the file
//	<!-- test: record -->              log records, one attribute a line, a blank line between two; `record configured` goes through the configuration before it on its page;
//	                                   SpanEvent or Span instead of EventName: the event of a span, or a span
//	<!-- test: event -->               what arrives of them; `event of NAME`: one event of examples/emitters/NAME
//	<!-- test: base -->                the record that the truth tables below it change
//	<!-- test: hook java -->           an OpenFeature hook, or python: what it logs of several evaluations is compared with testdata/hooks
//	<!-- test: install -->             commands that fetch packages; they run before all others of the page, and alone have a network
//	<!-- test: start PORT -->          a command that serves: it runs until the page's end, or its next start
//	<!-- test: run -->                 commands that succeed
//	<!-- test: output -->              what the commands before it print; … stands for anything
//	<!-- test: skip because REASON --> not tested, and why
//
// `<!-- test page: ... -->` says the same for all blocks of a page that say nothing themselves.
package docs // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/docs"
