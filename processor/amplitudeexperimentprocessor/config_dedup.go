// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"

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
	errRedisBoth     = errors.New("`endpoint` and `addresses` exclude each other")
	errRedisSentinel = errors.New("`master_name` needs the `addresses` of the sentinels and excludes `cluster`")
	errRedisURL      = errors.New("an address must be host:port and no URL: user and password are `username` and `password`, encryption is `tls`")
	errRedisDB       = errors.New("`db` must be 0 in a cluster")
)

// DedupConfig says what a repeat is and where the memory of what was sent is kept.
type DedupConfig struct {
	// Enabled turns de-duplication on. Without it every record goes out; `insert_id` still collapses copies of one day.
	Enabled bool `mapstructure:"enabled"`
	// Mode is `latest`, which keeps the user property at the last result, or `unique_per_day`, which leaves it as the last event
	// set it. Either way each result is one event a day.
	Mode string `mapstructure:"mode"`
	// Window is how long a result stays a repeat of itself: `day`, or a duration from `1m` to `168h` counted from
	// 1 January 1970 UTC, for which `time_zone` is not used.
	Window string `mapstructure:"window"`
	// TimeZone is the IANA name of the zone whose midnight ends the day.
	TimeZone string `mapstructure:"time_zone"`
	// Memory names a memory that all processors with this name share, such as that of a pipeline for replays; their `dedup`
	// sections must be equal. Without a name each processor has a memory of its own, and can stand in one pipeline only.
	Memory string `mapstructure:"memory"`
	// HistoryOlderThan is the age at arrival beyond which a record leaves the user property alone, at most 168h. Make it a few
	// hours where archives are sent through the same processor as live traffic.
	HistoryOlderThan time.Duration `mapstructure:"history_older_than"`
	// MaxEntries bounds the number of remembered entries; the least recently used are forgotten first.
	MaxEntries int `mapstructure:"max_entries"`
	// StorageID names a storage extension that keeps the state over a restart; without one it is in memory only.
	StorageID *component.ID `mapstructure:"storage"`
	// Redis shares the state between replicas; without it each replica has a state of its own.
	Redis configoptional.Optional[RedisConfig] `mapstructure:"redis"`
}

// RedisConfig addresses the Redis that replicas share: one server, a cluster, or sentinels.
type RedisConfig struct {
	// Endpoint is the host:port of one server.
	Endpoint string `mapstructure:"endpoint"`
	// Addresses are the host:port of several nodes: of a cluster, or of sentinels if MasterName is set.
	Addresses []string `mapstructure:"addresses"`
	// Cluster says that even a single address speaks the cluster protocol.
	Cluster bool `mapstructure:"cluster"`
	// MasterName is the name that the sentinels give to the master.
	MasterName string `mapstructure:"master_name"`
	// SentinelUsername logs in at the sentinels.
	SentinelUsername string `mapstructure:"sentinel_username"`
	// SentinelPassword logs in at the sentinels.
	SentinelPassword configopaque.String `mapstructure:"sentinel_password"`
	// Username logs in at the server.
	Username string `mapstructure:"username"`
	// Password logs in at the server.
	Password configopaque.String `mapstructure:"password"`
	// DB is the number of the database; a cluster has only 0.
	DB int `mapstructure:"db"`
	// KeyPrefix begins every key, so that several fleets may share a server. An edge and a gateway must not have the
	// same one.
	KeyPrefix string `mapstructure:"key_prefix"`
	// Timeout bounds the wait of a batch for each of its two round trips.
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

// Validate checks the section; the framework prefixes its name.
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

// Validate checks the section; the framework prefixes its name.
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
			// Whoever writes a URL may have written a password, which is not repeated.
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
