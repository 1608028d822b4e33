// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configcompression"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
)

// Values of the text keys.
const (
	regionUS = "us"
	regionEU = "eu"

	apiHTTPV2 = "http_v2"
	apiBatch  = "batch"

	compressionGzip = string(configcompression.TypeGzip)
	compressionNone = "none"

	onFullWait   = "wait"
	onFullRotate = "rotate"
)

// hosts are Amplitude's ingestion hosts by region.
var hosts = map[string]string{
	regionUS: "https://api2.amplitude.com",
	regionEU: "https://api.eu.amplitude.com",
}

const (
	defaultTimeout         = 30 * time.Second
	defaultMaxQueueWait    = 5 * time.Second
	defaultShutdownTimeout = 10 * time.Second
	defaultMaxShare        = 0.1
	defaultConcurrency     = 8
	// The values that other exporters use.
	defaultHTTP2ReadIdleTimeout = 10 * time.Second
	defaultHTTP2PingTimeout     = 10 * time.Second
	defaultMaxConnectionAge     = 10 * time.Minute
	defaultWriteBufferSize      = 64 << 10
	defaultQueueSize            = 50_000
	defaultBatchMinSize         = 8_192
	defaultFlushTimeout         = 200 * time.Millisecond
	defaultSlowLaneEvents       = 100_000
	defaultDeadLetterSize       = 100
	defaultDeadLetterCopies     = 10
)

// Config configures the project that events are sent to, how they are sent, and what happens to those that cannot be
// delivered.
type Config struct {
	// ClientConfig is the HTTP client. Of its keys, these are special here:
	//   - endpoint: Full URL that events are posted to; overrides `region` and `api`, but `api` still sets the size of a request.
	//   - timeout: Maximum time for one request, including its answer.
	//   - compression: Compression of requests; if empty, gzip for Amplitude's own URLs and none for others, which may not decode it.
	ClientConfig confighttp.ClientConfig `mapstructure:",squash"`

	// QueueConfig is the sending queue, with the building of batches. Of its keys, this is special here:
	//   - num_consumers: Must be 1, or events of one user could overtake each other; `concurrency` makes requests parallel.
	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`

	// MaxQueueWait is how long a sender waits for room in a full queue before it is asked to retry. 0 means forever.
	MaxQueueWait time.Duration `mapstructure:"max_queue_wait"`

	// ShutdownTimeout is how long a shutdown lets requests and waits continue before they are cut. What is not on disk
	// goes to the dead letter file, if there is one. 0 means forever.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`

	// RetryConfig is the back-off after a temporary failure; it never gives up by default. Of its keys, these are special here:
	//   - enabled: Whether a failed batch is retried; if not, it goes to the dead letter file, if there is one.
	//   - max_elapsed_time: Time after which held events go to the dead letter file, if there is one; 0 means never.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`

	// APIKey is the project's API key. It is required unless DryRun is set. It is only sent in request bodies.
	APIKey configopaque.String `mapstructure:"api_key"`

	// Region is where the project is.
	Region string `mapstructure:"region"`

	// API is `http_v2`, or `batch` for back-fills: 20 MB instead of 1 MB per request, 1,000 instead of 30 events per
	// second and user, visible in Amplitude minutes later.
	API string `mapstructure:"api"`

	// Events are patterns of the event names to send; only `*` is special. Events other than Amplitude Experiment's
	// count toward the bill.
	Events []string `mapstructure:"events"`

	// MinIDLength is the minimum length of a user or device id, in UTF-16 code units, that the project accepts.
	MinIDLength int `mapstructure:"min_id_length"`

	// PartnerID is added to each event that has none.
	PartnerID string `mapstructure:"partner_id"`

	// Concurrency is the maximum number of requests in flight for a batch that does not fit into one. Events that share
	// a user or device are never in flight at the same time.
	Concurrency int `mapstructure:"concurrency"`

	// MaxConnectionAge is how long a connection is used, so that the current targets of DNS or of a load balancer are
	// used; 0 means no limit.
	MaxConnectionAge time.Duration `mapstructure:"max_connection_age"`

	// RateLimit bounds what is sent, for plans with a limit.
	RateLimit RateLimitConfig `mapstructure:"rate_limit"`

	// SlowLane holds the events of users and devices that Amplitude throttles.
	SlowLane SlowLaneConfig `mapstructure:"slow_lane"`

	// DeadLetter is the file of OTLP JSON lines for events that can never be delivered.
	DeadLetter DeadLetterConfig `mapstructure:"dead_letter"`

	// DryRun does everything except sending, and logs a summary of each batch and, at debug level, its first event with
	// masked ids.
	DryRun bool `mapstructure:"dry_run"`
}

// RateLimitConfig bounds what is sent; 0 means no limit.
type RateLimitConfig struct {
	// EventsPerSecond bounds the events; 0 means no limit.
	EventsPerSecond float64 `mapstructure:"events_per_second"`
	// RequestsPerSecond bounds the requests; 0 means no limit.
	RequestsPerSecond float64 `mapstructure:"requests_per_second"`
}

// SlowLaneConfig bounds the slow lane.
type SlowLaneConfig struct {
	// MaxEvents is the number of events kept. If very many users fill the slow lane, the whole exporter waits, and
	// nothing is lost.
	MaxEvents int `mapstructure:"max_events"`
	// MaxShare is the fraction of the room left by others that the events of one user or device may fill, above 0 and
	// at most 1, so that noisy users do not stop the others. The excess goes to the dead letter file; without one, as
	// much excess is kept as the queue holds, and only beyond that are their events dropped and counted.
	MaxShare float64 `mapstructure:"max_share"`
}

// DeadLetterConfig is a file of OTLP JSON lines.
type DeadLetterConfig struct {
	// Path of the file, a regular file used only by this exporter; if empty, undeliverable events are only counted.
	Path string `mapstructure:"path"`
	// MaxMegabytes is the size at which the file is renamed to a backup with the time in its name.
	MaxMegabytes int `mapstructure:"max_megabytes"`
	// MaxBackups is the maximum number of backups; 0 means no limit.
	MaxBackups int `mapstructure:"max_backups"`
	// OnFull is what happens when the file and `max_backups` backups are full: with `wait`, dead letters wait until
	// backups are moved away, and beyond 10,000 all events wait; `rotate` removes the oldest backup, counted in
	// `dead_letters_dropped`.
	OnFull string `mapstructure:"on_full"`
}

var (
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Validator   = (*Config)(nil)
	_ confmap.Validator   = (*RateLimitConfig)(nil)
	_ confmap.Validator   = (*SlowLaneConfig)(nil)
	_ confmap.Validator   = (*DeadLetterConfig)(nil)
)

func createDefaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = defaultTimeout
	client.WriteBufferSize = defaultWriteBufferSize
	// These detect a silently dead connection sooner than several timeouts would.
	client.HTTP2ReadIdleTimeout = defaultHTTP2ReadIdleTimeout
	client.HTTP2PingTimeout = defaultHTTP2PingTimeout

	retry := configretry.NewDefaultBackOffConfig()
	retry.MaxElapsedTime = 0 // an outage ends eventually; a lost exposure stays lost

	queue := exporterhelper.NewDefaultQueueConfig()
	queue.NumConsumers = 1 // one batch at a time keeps the order; the lanes inside make it fast
	queue.Sizer = exporterhelper.RequestSizerTypeItems
	queue.QueueSize = defaultQueueSize
	queue.BlockOnOverflow = true
	batch := queue.Batch.GetOrInsertDefault()
	batch.Sizer = exporterhelper.RequestSizerTypeItems
	batch.MinSize = defaultBatchMinSize
	batch.FlushTimeout = defaultFlushTimeout

	return &Config{
		ClientConfig:     client,
		QueueConfig:      configoptional.Some(queue),
		MaxQueueWait:     defaultMaxQueueWait,
		ShutdownTimeout:  defaultShutdownTimeout,
		RetryConfig:      retry,
		Region:           regionUS,
		API:              apiHTTPV2,
		Events:           []string{amplitude.ExperimentPrefix + "*", amplitude.EventRawExposure, amplitude.EventIdentify},
		MinIDLength:      amplitude.DefaultMinIDLength,
		Concurrency:      defaultConcurrency,
		MaxConnectionAge: defaultMaxConnectionAge,
		SlowLane:         SlowLaneConfig{MaxEvents: defaultSlowLaneEvents, MaxShare: defaultMaxShare},
		DeadLetter:       DeadLetterConfig{MaxMegabytes: defaultDeadLetterSize, MaxBackups: defaultDeadLetterCopies, OnFull: onFullWait},
	}
}

// Unmarshal accepts the region in any case and refuses unknown keys. Without it, they would be ignored at every level:
// the Unmarshal of a squashed confighttp.ClientConfig decodes with unused keys allowed.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := conf.Unmarshal(c); err != nil {
		return didyoumean.WithKeys(err, conf, c)
	}
	if err := conf.Unmarshal(reflect.New(knownKeys).Interface()); err != nil {
		// An unnamed type is printed as its whole definition.
		err = errors.New(strings.ReplaceAll(err.Error(), knownKeys.String(), reflect.TypeFor[Config]().String()))
		return didyoumean.WithKeys(err, conf, c)
	}
	c.Region = strings.ToLower(c.Region)
	c.fitBatches(conf)
	return nil
}

// fitBatches lowers the default batch size to fit a smaller queue, so that nobody has to know that key.
func (c *Config) fitBatches(conf *confmap.Conf) {
	queue := c.QueueConfig.Get()
	if queue == nil || conf.IsSet("sending_queue::batch::min_size") {
		return
	}
	if batch := queue.Batch.Get(); batch != nil && batch.Sizer == queue.Sizer && queue.QueueSize > 0 {
		batch.MinSize = min(batch.MinSize, max(1, queue.QueueSize/2))
	}
}

// clientKeys has the fields of confighttp.ClientConfig and none of its methods.
type clientKeys confighttp.ClientConfig

// knownKeys is Config with clientKeys in place of the client's configuration.
var knownKeys = func() reflect.Type {
	fields := reflect.VisibleFields(reflect.TypeFor[Config]())
	for i := range fields {
		if fields[i].Type == reflect.TypeFor[confighttp.ClientConfig]() {
			fields[i].Type = reflect.TypeFor[clientKeys]()
		}
	}
	return reflect.StructOf(fields)
}()

// Validate returns all problems together, each with its key.
func (c *Config) Validate() error {
	var errs []error
	if c.APIKey == "" && !c.DryRun {
		errs = append(errs, errors.New("`api_key` is required: set it to the API key of the Amplitude project"))
	}
	errs = append(errs, check.OneOf("region", c.Region, regionUS, regionEU), check.OneOf("api", c.API, apiHTTPV2, apiBatch))
	errs = append(errs, validateEndpoint(c.ClientConfig.Endpoint), validateProxy(c.ClientConfig.ProxyURL))
	// Amplitude accepts no other compression.
	if c.ClientConfig.Compression != "" {
		errs = append(errs, check.OneOf("compression", string(c.ClientConfig.Compression), compressionGzip, compressionNone))
	}
	if len(c.Events) == 0 {
		errs = append(errs, errors.New("`events` must have at least one pattern ([\"*\"] allows every event)"))
	}
	for i, pattern := range c.Events {
		if pattern == "" {
			errs = append(errs, fmt.Errorf("`events` must not contain an empty pattern (at position %d)", i))
		}
	}
	errs = append(errs,
		check.Between("min_id_length", c.MinIDLength, 1, amplitude.MaxStringLength),
		check.Positive("concurrency", c.Concurrency),
		check.NotNegative("timeout", c.ClientConfig.Timeout),
		check.NotNegative("max_connection_age", c.MaxConnectionAge),
		check.NotNegative("max_queue_wait", c.MaxQueueWait),
		check.NotNegative("shutdown_timeout", c.ShutdownTimeout))
	if queue := c.QueueConfig.Get(); queue != nil && queue.NumConsumers != 1 {
		errs = append(errs, fmt.Errorf("`sending_queue::num_consumers` must be 1, or events of one user could overtake each other; "+
			"use `concurrency` for parallel requests (got %d)", queue.NumConsumers))
	}
	return errors.Join(errs...)
}

// validateEndpoint checks a URL; its errors do not contain it, because it may contain a password.
func validateEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return errors.New("`endpoint` must be a valid URL")
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("`endpoint` must be a full URL that starts with http:// or https://")
	}
	if u.Path == "" || u.Path == "/" {
		return fmt.Errorf("`endpoint` must be a full URL with its path, such as %s%s (got that of host %q)", hosts[regionUS], amplitude.PathHTTPV2, u.Host)
	}
	return nil
}

// validateProxy checks a URL; its errors do not contain it: in an invalid URL, any part may be the password.
func validateProxy(proxy string) error {
	if proxy == "" {
		return nil
	}
	u, err := url.ParseRequestURI(proxy)
	if err != nil || u.Host == "" || strings.Contains(proxy, "#") {
		return errors.New("`proxy_url` must be a full URL, such as http://user:password@proxy:3128, with everything in user and password escaped that " +
			"is neither letter nor digit (% is %25, # is %23, @ is %40, / is %2F)")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return nil
	}
	return errors.New("`proxy_url` must start with http://, https:// or socks5://")
}

// Validate returns what is wrong, one error per key.
func (c *RateLimitConfig) Validate() error {
	var errs []error
	for _, limit := range []struct {
		key   string
		value float64
	}{{"events_per_second", c.EventsPerSecond}, {"requests_per_second", c.RequestsPerSecond}} {
		errs = append(errs, check.NotNegative(limit.key, limit.value))
		if math.IsInf(limit.value, 1) {
			errs = append(errs, fmt.Errorf("`%s` must be finite (got %v)", limit.key, limit.value))
		}
	}
	return errors.Join(errs...)
}

// Validate returns what is wrong.
func (c *SlowLaneConfig) Validate() error {
	errs := []error{check.Positive("max_events", c.MaxEvents)}
	if !(c.MaxShare > 0 && c.MaxShare <= 1) {
		errs = append(errs, fmt.Errorf("`max_share` must be above 0 and at most 1 (got %v)", c.MaxShare))
	}
	return errors.Join(errs...)
}

// Validate returns what is wrong, one error per key.
func (c *DeadLetterConfig) Validate() error {
	return errors.Join(
		check.Positive("max_megabytes", c.MaxMegabytes),
		check.NotNegative("max_backups", c.MaxBackups),
		check.OneOf("on_full", c.OnFull, onFullWait, onFullRotate))
}

// officialURL returns Amplitude's own URL for the events of this project.
func (c *Config) officialURL() string {
	if c.API == apiBatch {
		return hosts[c.Region] + amplitude.PathBatch
	}
	return hosts[c.Region] + amplitude.PathHTTPV2
}

// url returns the URL that events are posted to.
func (c *Config) url() string {
	if c.ClientConfig.Endpoint != "" {
		return c.ClientConfig.Endpoint
	}
	return c.officialURL()
}

// compressed reports whether bodies are compressed with gzip. A server other than Amplitude's may not decode it.
func (c *Config) compressed() bool {
	if c.ClientConfig.Compression != "" {
		return c.ClientConfig.Compression == configcompression.TypeGzip
	}
	target := c.url()
	for _, host := range hosts {
		if target == host+amplitude.PathHTTPV2 || target == host+amplitude.PathBatch {
			return true
		}
	}
	return false
}

// senderWaits reports whether senders get the result of each try.
func (c *Config) senderWaits() bool {
	queue := c.QueueConfig.Get()
	return queue == nil || queue.WaitForResult
}

// cutsBytes reports whether batches are limited by the bytes of their records.
func (c *Config) cutsBytes() bool {
	queue := c.QueueConfig.Get()
	if queue == nil || !queue.Batch.HasValue() {
		return false
	}
	batch := queue.Batch.Get()
	return batch.MaxSize > 0 && batch.Sizer == exporterhelper.RequestSizerTypeBytes
}

// eventSettings returns the settings for encoding events, in a Collector of this version.
func (c *Config) eventSettings(version string) event.Settings {
	return event.Settings{Allowed: c.Events, MinIDLength: c.MinIDLength, PartnerID: c.PartnerID, Version: version}
}

// limits bound one request.
type limits struct {
	bytes  int
	events int
}

func (c *Config) limits() limits {
	// The documentation says both "fewer than 2,000" and "up to 2,000": stay below.
	l := limits{bytes: amplitude.MaxRequestBytesV2, events: amplitude.MaxRequestEvents - 1}
	if c.API == apiBatch {
		l.bytes = amplitude.MaxRequestBytesBatch
	}
	return l
}
