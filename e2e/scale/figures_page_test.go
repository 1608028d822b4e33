// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scalebench

package scale

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"
)

// Of a property with its first subject in memory: docs/deduplication.md#memory.
const bytesOfProperty = 70

// page are the figures of docs/scaling.md.
type page struct {
	stamp string
	// Of a layout, by its place in layouts, and a number of processes: what measure returns.
	layouts map[int]figures
	// Of a number of replicas: what measure returns, then CPU s per million records, keys and bytes of a subject, in Redis.
	redis figures
	// Bytes of an event in the queue, of a subject in the memory on disk, of an event in Kafka, as it is and compressed.
	queue, memory, topic, topicPacked float64
	eventsOfMessage                   float64
}

func newPage() *page { return &page{layouts: map[int]figures{}, redis: figures{}} }

func (p *page) add(layout, n int, values []float64) {
	if p.layouts[layout] == nil {
		p.layouts[layout] = figures{}
	}
	p.layouts[layout].add(strconv.Itoa(n), values...)
}

func (p *page) addRedis(n int, values []float64) { p.redis.add(strconv.Itoa(n), values...) }

// row is a line of a table of so many tiers: new records a second and their CPU, tier by tier, then the same of repeats.
func row(f figures, n, tiers int) string {
	key, cells := strconv.Itoa(n), ""
	for half := range 2 {
		first := half * (1 + tiers)
		cpus := make([]string, tiers)
		for tier := range cpus {
			cpus[tier] = fmt.Sprintf("%.1f", f.median(key, first+1+tier))
		}
		cells += fmt.Sprintf(" %s | %s |", docblock.Grouped(f.median(key, first)), strings.Join(cpus, " + "))
	}
	return cells
}

// tiersOf is how many tiers have a figure of their own.
func tiersOf(f figures, n int) int { return len(f[strconv.Itoa(n)])/2 - 1 }

func (p *page) figures() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s users with one exposure each, in requests of %s from %d senders, queue and memory on disk without fsync; then the same exposures again, as repeats. Senders, Collectors, broker and "+
		"a sink that only counts share the machine. Medians of the rounds; CPU in seconds per million records, tier by tier.\n\n"+
		"| | processes sending to Amplitude | new exposures/s | CPU | repeats/s | CPU |\n|---|--:|--:|--:|--:|--:|\n", p.stamp, docblock.Grouped(subjects), docblock.Grouped(post), senders)
	for i, l := range layouts {
		name := l.name
		if l.tiers != "" {
			name += ": " + l.tiers
		}
		for _, n := range processes {
			fmt.Fprintf(&b, "| %s | %d |%s\n", name, n, row(p.layouts[i], n, tiersOf(p.layouts[i], n)))
		}
	}
	b.WriteString("\nReplicas that share a Redis, users divided by the senders:\n\n| replicas | new exposures/s | CPU | repeats/s | CPU | CPU of Redis | keys per subject | bytes in Redis per subject |\n|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, n := range processes {
		key := strconv.Itoa(n)
		fmt.Fprintf(&b, "| %d |%s %.1f | %.2f | %.0f |\n", n, row(p.redis, n, 1), p.redis.median(key, 4), p.redis.median(key, 5), p.redis.median(key, 6))
	}
	fmt.Fprintf(&b, "\n| bytes | |\n|---|--:|\n| memory of a process, per property with its first subject ([details](deduplication.md#memory)) | %d |\n"+
		"| memory on disk, per subject | %.0f |\n| queue on disk, per waiting event | %.0f |\n"+
		"| Kafka, per event, repeats included: uncompressed, and with `zstd` (these events are very similar) | %.0f, %.0f |\n\nA Kafka message holds %.1f events here.\n",
		bytesOfProperty, p.memory, p.queue, p.topic, p.topicPacked, p.eventsOfMessage)
	return b.String()
}

// sizing computes what a number of exposures a day takes.
func (p *page) sizing() string {
	const repeats, peak, day, subjectsKept = 0.8, 3, 86_400, 2
	// seconds of CPU of a million records: of one process alone, of the most that a tier before it takes, and of gateways behind Kafka.
	mixed := func(f figures, n, tier, tiers int) float64 {
		key := strconv.Itoa(n)
		return (1-repeats)*f.median(key, 1+tier) + repeats*f.median(key, 2+tiers+tier)
	}
	alone, before := mixed(p.layouts[0], 1, 0, 1), 0.0
	for _, i := range []int{1, 2} {
		for _, n := range processes {
			before = max(before, mixed(p.layouts[i], n, 0, 2))
		}
	}
	kafka := mixed(p.layouts[3], 1, 2, 3)
	redis := 0.0
	for _, n := range processes {
		redis = max(redis, p.redis.median(strconv.Itoa(n), 6))
	}
	var b strings.Builder
	b.WriteString("| exposures a day | 10 million | 100 million | 1 billion |\n|---|--:|--:|--:|\n")
	line := func(name string, cell func(n float64) string) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, cell(10e6), cell(100e6), cell(1e9))
	}
	cores := func(perMillion float64) func(n float64) string {
		return func(n float64) string { return twoDigits(n/day*peak/1e6*perMillion) + " cores" }
	}
	bytes := func(perExposure float64) func(n float64) string {
		return func(n float64) string { return size(n * perExposure) }
	}
	line("mean, peak", func(n float64) string { return docblock.Grouped(n/day) + "/s, " + docblock.Grouped(n/day*peak) + "/s" })
	line("events to Amplitude at the peak", func(n float64) string { return docblock.Grouped(n/day*peak*(1-repeats)) + "/s" })
	line(fmt.Sprintf("CPU at the peak, %.1f s per million", alone), cores(alone))
	line(fmt.Sprintf("CPU of the edges or the front before it, at most %.0f s per million", before), cores(before))
	line(fmt.Sprintf("CPU of gateways behind Kafka, %.0f s per million", kafka), cores(kafka))
	line("subjects per day", func(n float64) string { return docblock.Grouped(n*(1-repeats)/1e6) + " million" })
	line(fmt.Sprintf("memory of all replicas together, with `max_entries` at %d times that", subjectsKept), bytes((1-repeats)*subjectsKept*bytesOfProperty))
	line("Redis, if every day has the same subjects (if all are new every day, up to 7 times that)", bytes((1-repeats)*redis))
	line("queue on disk, for an hour's outage at the mean rate", bytes((1-repeats)*p.queue/24))
	line("Kafka, a day's retention, one copy: uncompressed, with `zstd`", func(n float64) string { return size(n*p.topic) + ", " + size(n*p.topicPacked) })
	return b.String()
}

// size is a number of bytes with two digits.
func size(bytes float64) string {
	if bytes < 1e8 {
		return twoDigits(bytes/1e6) + " MB"
	}
	return twoDigits(bytes/1e9) + " GB"
}

// twoDigits rounds to two digits: 0.0024, 28, 310.
func twoDigits(x float64) string {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 2, 64), 64)
	if err != nil {
		panic(err)
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// TestPage: figures stand where their heads say, and the sizes follow from them.
func TestPage(t *testing.T) {
	p := newPage()
	p.stamp, p.queue, p.memory, p.topic, p.topicPacked, p.eventsOfMessage = "measured\n", 360, 348, 300, 30, 4
	for _, n := range processes {
		p.add(0, n, []float64{1000, 10, 9000, 5})
		for _, two := range []int{1, 2} {
			p.add(two, n, []float64{1000, 20, 10, 9000, 10, 5})
		}
		p.add(3, n, []float64{1000, 20, 1, 100, 9000, 10, 1, 10})
		p.addRedis(n, []float64{1000, 10, 9000, 5, 7, 2, 200})
	}
	page := p.figures()
	for _, line := range []string{
		"| one tier, users divided by the senders | 1 | 1,000 | 10.0 | 9,000 | 5.0 |",
		"| edges, each with a gateway: edges + gateways | 4 | 1,000 | 20.0 + 10.0 | 9,000 | 10.0 + 5.0 |",
		"| an edge, Kafka, and gateways: edge + broker + gateways | 2 | 1,000 | 20.0 + 1.0 + 100.0 | 9,000 | 10.0 + 1.0 + 10.0 |",
		"| 2 | 1,000 | 10.0 | 9,000 | 5.0 | 7.0 | 2.00 | 200 |",
		"| queue on disk, per waiting event | 360 |",
	} {
		assert.Contains(t, page, line+"\n")
	}
	sizes := p.sizing()
	for _, line := range []string{
		"| mean, peak | 116/s, 347/s | 1,157/s, 3,472/s | 11,574/s, 34,722/s |",
		"| CPU at the peak, 6.0 s per million | 0.0021 cores | 0.021 cores | 0.21 cores |",
		"| CPU of the edges or the front before it, at most 12 s per million | 0.0042 cores | 0.042 cores | 0.42 cores |",
		"| CPU of gateways behind Kafka, 28 s per million | 0.0097 cores | 0.097 cores | 0.97 cores |",
		"| memory of all replicas together, with `max_entries` at 2 times that | 0.28 GB | 2.8 GB | 28 GB |",
		"| Kafka, a day's retention, one copy: uncompressed, with `zstd` | 3 GB, 0.3 GB | 30 GB, 3 GB | 300 GB, 30 GB |",
		"| queue on disk, for an hour's outage at the mean rate | 30 MB | 0.3 GB | 3 GB |",
	} {
		assert.Contains(t, sizes, line+"\n")
	}
}
