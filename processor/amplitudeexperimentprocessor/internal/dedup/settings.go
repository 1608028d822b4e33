// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
)

// Mode is what becomes of a result that was sent before in its window.
type Mode uint8

const (
	// Latest corrects the property where it differs.
	Latest Mode = iota
	// UniquePerDay leaves the property as the last event set it.
	UniquePerDay
)

const (
	// DefaultForget is how long an unused entry is remembered: Amplitude's own window for insert_id.
	DefaultForget = 7 * 24 * time.Hour
	// DefaultHistory is the age at arrival beyond which a record moves no property.
	DefaultHistory = 7 * 24 * time.Hour

	defaultWindow = 25 * time.Hour
)

// Settings configures a Ledger. Optional fields may be zero, with the meaning in their comments.
type Settings struct {
	// Mode is what becomes of a result that was sent before in its window.
	Mode Mode
	// MaxEntries bounds the number of remembered entries; it must be positive.
	MaxEntries int
	// Forget is how long an unused entry is remembered; zero means DefaultForget.
	Forget time.Duration
	// History is the age at arrival beyond which a record moves no property; zero means DefaultHistory.
	History time.Duration
	// Window is the maximum length of what Record.Day numbers; zero means a day, plus the hour that some days are
	// longer.
	Window time.Duration
	// Clock gives the arrival time; nil means time.Now.
	Clock func() time.Time
	// Owner is the component that the ledger belongs to; it names the storage and the keys in Redis.
	Owner component.ID
	// Storage is the storage extension that keeps the ledger across restarts; nil means memory only.
	Storage *component.ID
	// Scope identifies what the numbers in a Record mean, such as the window and the time zone of the days. State of
	// another scope is not loaded.
	Scope string
	// Redis shares the ledger between replicas; nil does not share it.
	Redis *RedisSettings
	// Logger is for what an operator should know; nil logs nothing.
	Logger *zap.Logger
}

// RedisSettings configures the Redis that replicas share.
type RedisSettings struct {
	// Options are those of the client; timeouts and retries are set by this package.
	Options redis.UniversalOptions
	// KeyPrefix is prepended to every key.
	KeyPrefix string
	// Timeout bounds each wait of a batch.
	Timeout time.Duration
}
