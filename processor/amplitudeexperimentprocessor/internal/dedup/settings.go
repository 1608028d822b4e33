// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
)

// Mode chooses what becomes of a result that was sent before in its window.
type Mode uint8

const (
	// Latest sets the property right where it differs.
	Latest Mode = iota
	// UniquePerDay leaves the property as the last event set it.
	UniquePerDay
)

const (
	// DefaultForget is how long an untouched entry is remembered: Amplitude's own window for insert_id.
	DefaultForget = 7 * 24 * time.Hour
	// DefaultHistory is the age at arrival beyond which a record moves no property.
	DefaultHistory = 7 * 24 * time.Hour

	defaultWindow = 25 * time.Hour
)

// Settings configures a Ledger. The zero value of an optional field means what its comment says.
type Settings struct {
	// Mode chooses what becomes of a result that was sent before in its window.
	Mode Mode
	// MaxEntries bounds the number of remembered entries; it must be positive.
	MaxEntries int
	// Forget is how long an untouched entry is remembered; zero means DefaultForget.
	Forget time.Duration
	// History is the age at arrival beyond which a record moves no property; zero means DefaultHistory.
	History time.Duration
	// Window is how long what Record.Day numbers can last; zero means a day, with the hour that some have more.
	Window time.Duration
	// Clock tells the arrival time; nil means time.Now.
	Clock func() time.Time
	// Owner is the component that the ledger belongs to; it names the storage and the keys in Redis.
	Owner component.ID
	// Storage is the storage extension that keeps the ledger over a restart; nil means memory only.
	Storage *component.ID
	// Scope names what the numbers in a Record mean, such as the window and the zone of the days.
	// A ledger of another scope is not read back.
	Scope string
	// Redis shares the ledger between replicas; nil means that it is not shared.
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
	// Timeout bounds each wait of a batch.
	Timeout time.Duration
}
