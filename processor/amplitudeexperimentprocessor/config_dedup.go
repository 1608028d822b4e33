// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

const (
	dedupModeLatest       = "latest"
	dedupModeUniquePerDay = "unique_per_day"

	// The table numbers its entries with 24 bits in each of 64 shards.
	maxDedupEntries = 1_000_000_000

	defaultDedupEntries     = 1_000_000
	defaultRedisTimeout     = 50 * time.Millisecond
	maxRedisTimeout         = 5 * time.Second
	defaultRedisKeyPrefix   = "amplitude_experiment:"
	maxRedisKeyPrefixLength = 128
)

var (
	_ confmap.Validator = (*DedupConfig)(nil)
	_ confmap.Validator = (*RedisConfig)(nil)

	errRedisAddress  = errors.New("`endpoint` or `addresses` is required")
	errRedisBoth     = errors.New("`endpoint` and `addresses` are mutually exclusive")
	errRedisSentinel = errors.New("`master_name` requires the `addresses` of the sentinels and excludes `cluster`")
	errRedisURL      = errors.New("an address must be host:port, not a URL: use `username`, `password` and `tls` instead")
	errRedisDB       = errors.New("`db` must be 0 in a cluster")
)

// DedupConfig configures what counts as a repeat and where the state of what was sent is kept.
type DedupConfig struct {
	// Enabled turns on de-duplication. Without it every record is sent; Amplitude still drops copies from the same
	// day by `insert_id`.
	Enabled bool `mapstructure:"enabled"`
	// Mode is `latest`, which keeps the user property at the latest result, or `unique_per_day`, which leaves it as
	// the last event set it. Either way, each result is one event per day.
	Mode string `mapstructure:"mode"`
	// Window is how long a result stays a repeat of itself: `day`, or a duration from `1m` to `168h` aligned to 1
	// January 1970 UTC, for which `time_zone` is ignored.
	Window string `mapstructure:"window"`
	// TimeZone is the IANA name of the time zone whose midnight ends the day.
	TimeZone string `mapstructure:"time_zone"`
	// Memory names a memory that all processors with this name share, such as one in a pipeline for replays; their
	// `dedup` sections must be equal. Without a name each processor has its own memory and can be used in only one
	// pipeline.
	Memory string `mapstructure:"memory"`
	// HistoryOlderThan is the age on arrival beyond which a record leaves the user property alone, at most 168h. Set
	// it to a few hours where archived records go through the same processor as live traffic.
	HistoryOlderThan time.Duration `mapstructure:"history_older_than"`
	// MaxEntries bounds the number of remembered entries; the least recently used are evicted first.
	MaxEntries int `mapstructure:"max_entries"`
	// StorageID is the storage extension that keeps the state across restarts; without it, the state is in memory
	// only.
	StorageID *component.ID `mapstructure:"storage"`
	// Redis shares the state between replicas; without it, each replica has its own.
	Redis configoptional.Optional[RedisConfig] `mapstructure:"redis"`
}

// RedisConfig configures the Redis that replicas share: one server, a cluster, or sentinels.
type RedisConfig struct {
	// Endpoint is the host:port of one server.
	Endpoint string `mapstructure:"endpoint"`
	// Addresses are the host:port of several nodes: of a cluster, or of sentinels if MasterName is set.
	Addresses []string `mapstructure:"addresses"`
	// Cluster uses the cluster protocol even with a single address.
	Cluster bool `mapstructure:"cluster"`
	// MasterName is the name of the master, as the sentinels know it.
	MasterName string `mapstructure:"master_name"`
	// SentinelUsername is the username for the sentinels.
	SentinelUsername string `mapstructure:"sentinel_username"`
	// SentinelPassword is the password for the sentinels.
	SentinelPassword configopaque.String `mapstructure:"sentinel_password"`
	// Username is the username for the server.
	Username string `mapstructure:"username"`
	// Password is the password for the server.
	Password configopaque.String `mapstructure:"password"`
	// DB is the database number; a cluster only has 0.
	DB int `mapstructure:"db"`
	// KeyPrefix is the prefix of every key, so that several fleets can share a server. An edge and a gateway must not
	// use the same prefix.
	KeyPrefix string `mapstructure:"key_prefix"`
	// Timeout bounds how long a batch waits for each of its two round trips.
	Timeout time.Duration `mapstructure:"timeout"`
	// TLS encrypts the connection; absent means plain text.
	TLS configoptional.Optional[configtls.ClientConfig] `mapstructure:"tls"`
}

func createDefaultDedupConfig() DedupConfig {
	return DedupConfig{
		Enabled:    true,
		Mode:       dedupModeLatest,
		Window:     experiment.WindowDay,
		TimeZone:   "UTC",
		MaxEntries: defaultDedupEntries,

		HistoryOlderThan: dedup.DefaultHistory,
		Redis: configoptional.Default(RedisConfig{
			KeyPrefix: defaultRedisKeyPrefix,
			Timeout:   defaultRedisTimeout,
			TLS:       configoptional.Default(configtls.NewDefaultClientConfig()),
		}),
	}
}

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *DedupConfig) Validate() error {
	if !cfg.Enabled {
		return nil
	}
	errs := []error{check.OneOf("mode", cfg.Mode, dedupModeLatest, dedupModeUniquePerDay)}
	if _, err := experiment.NewWindow(cfg.Window, cfg.TimeZone); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, check.Between("max_entries", cfg.MaxEntries, 1, maxDedupEntries))
	errs = append(errs, check.Between("history_older_than", cfg.HistoryOlderThan, time.Minute, dedup.DefaultHistory))
	return errors.Join(errs...)
}

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *RedisConfig) Validate() error {
	var errs []error
	switch {
	case cfg.Endpoint == "" && len(cfg.Addresses) == 0:
		errs = append(errs, errRedisAddress)
	case cfg.Endpoint != "" && len(cfg.Addresses) > 0:
		errs = append(errs, errRedisBoth)
	}
	for _, address := range cfg.addresses() {
		if strings.ContainsAny(address, "@/") {
			// A URL may contain a password, so the error does not repeat it.
			errs = append(errs, errRedisURL)
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			errs = append(errs, fmt.Errorf("an address must be host:port (got %q)", address))
		}
	}
	if cfg.MasterName != "" && (cfg.Cluster || len(cfg.Addresses) == 0) {
		errs = append(errs, errRedisSentinel)
	}
	errs = append(errs, check.NotNegative("db", cfg.DB))
	if cfg.DB != 0 && cfg.isCluster() {
		errs = append(errs, errRedisDB)
	}
	if len(cfg.KeyPrefix) > maxRedisKeyPrefixLength {
		errs = append(errs, fmt.Errorf("`key_prefix` must not be longer than %d bytes (got %d)", maxRedisKeyPrefixLength, len(cfg.KeyPrefix)))
	}
	if cfg.Timeout <= 0 || cfg.Timeout > maxRedisTimeout {
		errs = append(errs, fmt.Errorf("`timeout` must be positive and at most %s (got %s)", maxRedisTimeout, cfg.Timeout))
	}
	return errors.Join(errs...)
}

func (cfg *RedisConfig) addresses() []string {
	if cfg.Endpoint != "" {
		return []string{cfg.Endpoint}
	}
	return cfg.Addresses
}

func (cfg *RedisConfig) isCluster() bool {
	return cfg.Cluster || (cfg.MasterName == "" && len(cfg.Addresses) > 1)
}

// settings returns the settings of the ledger, except Redis.
func (cfg *DedupConfig) settings(set processor.Settings) dedup.Settings {
	settings := dedup.Settings{
		MaxEntries: cfg.MaxEntries,
		History:    cfg.HistoryOlderThan,
		Owner:      set.ID,
		Storage:    cfg.StorageID,
		Scope:      cfg.Window + " " + cfg.TimeZone,
		Logger:     set.Logger,
	}
	if cfg.Mode == dedupModeUniquePerDay {
		settings.Mode = dedup.UniquePerDay
	}
	if length, err := time.ParseDuration(cfg.Window); err == nil { // a day is the default
		settings.Window = length
	}
	return settings
}

// settings returns how de-duplication and diagnostics connect to Redis.
func (cfg *RedisConfig) settings() (*dedup.RedisSettings, error) {
	options := redis.UniversalOptions{
		Addrs:            cfg.addresses(),
		IsClusterMode:    cfg.isCluster(),
		MasterName:       cfg.MasterName,
		SentinelUsername: cfg.SentinelUsername,
		SentinelPassword: string(cfg.SentinelPassword),
		Username:         cfg.Username,
		Password:         string(cfg.Password),
		DB:               cfg.DB,
	}
	if cfg.TLS.HasValue() {
		var err error
		if options.TLSConfig, err = cfg.TLS.Get().LoadTLSConfig(context.Background()); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}
	return &dedup.RedisSettings{Options: options, KeyPrefix: cfg.KeyPrefix, Timeout: cfg.Timeout}, nil
}
