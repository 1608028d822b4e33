// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
)

// Mode chooses what a repeat is.
type Mode uint8

const (
	// Latest compares with the last result of the subject: A, B, A within one bucket is three events.
	Latest Mode = iota
	// UniquePerDay sends each result of a subject once per bucket, whatever came between.
	UniquePerDay
)

// DefaultForget is how long an untouched entry is remembered: Amplitude's own window for insert_id.
const DefaultForget = 7 * 24 * time.Hour

// Settings configures a State. The zero value of an optional field means what its comment says.
type Settings struct {
	// Mode chooses what a repeat is.
	Mode Mode
	// MaxEntries bounds the number of remembered entries; it must be positive.
	MaxEntries int
	// Forget is how long an untouched entry is remembered; zero means DefaultForget.
	Forget time.Duration
	// Clock tells the arrival time; nil means time.Now.
	Clock func() time.Time
	// Owner is the component that the state belongs to; it names the storage and the keys in Redis.
	Owner component.ID
	// Storage is the storage extension that keeps the state over a restart; nil means memory only.
	Storage *component.ID
	// Scope names what the numbers in a Record mean, such as the window and the zone of the buckets.
	// Kept state of another scope is not read back.
	Scope string
	// Redis shares the state between replicas; nil means that it is not shared.
	Redis *RedisSettings
	// Logger is told about what an operator should know; nil means silence.
	Logger *zap.Logger
}

// RedisSettings says how to reach the Redis that replicas share.
type RedisSettings struct {
	// Options are those of the client; timeouts and retries are set by this package.
	Options redis.UniversalOptions
	// KeyPrefix begins every key.
	KeyPrefix string
	// Timeout bounds each of the two waits of a batch.
	Timeout time.Duration
}
