// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
)

// Values of the text keys.
const (
	unknownKeep   = "keep"
	unknownReject = "reject"

	clientIPOff     = "off"
	clientIPForward = "forward"
)

const (
	// defaultEndpoint is on the loopback interface, on a port that neither OTLP nor the sandbox uses.
	defaultEndpoint = "127.0.0.1:8586"
	// defaultMaxBodySize is the limit of Amplitude's batch API.
	defaultMaxBodySize = 20 << 20
	// defaultReadTimeout allows 20 MB over a slow connection.
	defaultReadTimeout = time.Minute
)

// Config configures where the receiver listens, for which projects, and what it accepts.
type Config struct {
	// ServerConfig is the HTTP server. Of its keys, this is special here:
	//   - max_request_body_size: Maximum size of a body in bytes, after decompression; /2/httpapi accepts at most 1 MiB, like Amplitude.
	ServerConfig confighttp.ServerConfig `mapstructure:",squash"`

	// APIKeys are the accepted API keys, each with its project. Required.
	APIKeys []APIKeyConfig `mapstructure:"api_keys"`

	// UnknownFields is what happens to a member of an event that is not a field of Amplitude's API: `keep` keeps it as
	// event JSON, which the exporter sends on, `reject` refuses the event.
	UnknownFields string `mapstructure:"unknown_fields"`

	// MinIDLength is the minimum length of a user or device id, in UTF-16 code units, even if the options of a request
	// ask for less. Set the same value in the exporter; otherwise, it drops shorter ids that were acknowledged here.
	MinIDLength int `mapstructure:"min_id_length"`

	// ClientIP is what becomes of the `ip` value `$remote`, which browser SDKs send: `off` leaves it out, `forward`
	// replaces it with the client's address.
	ClientIP string `mapstructure:"client_ip"`

	// TrustedProxies are the networks of proxies whose X-Forwarded-For is trusted, such as 10.0.0.0/8.
	TrustedProxies []string `mapstructure:"trusted_proxies"`
}

// APIKeyConfig is an accepted API key.
type APIKeyConfig struct {
	// Key is the API key.
	Key configopaque.String `mapstructure:"key"`
	// Project is the name of the project; it becomes the resource attribute amplitude.project, for filtering or
	// routing.
	Project string `mapstructure:"project"`
}

var (
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Validator   = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = defaultEndpoint
	server.MaxRequestBodySize = defaultMaxBodySize
	server.ReadTimeout = defaultReadTimeout
	return &Config{
		ServerConfig: server, UnknownFields: unknownKeep, MinIDLength: amplitude.DefaultMinIDLength, ClientIP: clientIPOff,
	}
}

// Unmarshal suggests the likely intended name for each unknown key. The API keys may also be a map, key: project.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	projects, isMap := conf.Get("api_keys").(map[string]any)
	if isMap {
		conf.Delete("api_keys")
	}
	if err := didyoumean.Unmarshal(conf, c); err != nil || !isMap {
		return err
	}
	c.APIKeys = nil
	for key, project := range projects {
		name, ok := project.(string)
		if !ok {
			return fmt.Errorf("`api_keys` must be a list of {key, project}, or map keys to names of projects (got %T for a key)", project)
		}
		c.APIKeys = append(c.APIKeys, APIKeyConfig{Key: configopaque.String(key), Project: name})
	}
	slices.SortFunc(c.APIKeys, func(a, b APIKeyConfig) int { return slices.Compare([]byte(a.Key), []byte(b.Key)) })
	return nil
}

// Validate implements [confmap.Validator]. Its errors contain no keys.
func (c *Config) Validate() error {
	var errs error
	if c.ServerConfig.NetAddr.Endpoint == "" {
		errs = errors.New("`endpoint` must be the address to listen on, host:port")
	}
	if len(c.APIKeys) == 0 {
		errs = errors.Join(errs, errors.New("`api_keys` must have at least one key: it says whose events are accepted"))
	}
	seen := map[configopaque.String]bool{}
	for i, k := range c.APIKeys {
		switch {
		case k.Key == "":
			errs = errors.Join(errs, fmt.Errorf("`api_keys::%d::key` must not be empty", i))
		case seen[k.Key]:
			errs = errors.Join(errs, fmt.Errorf("`api_keys::%d::key` must not be a duplicate", i))
		}
		seen[k.Key] = true
	}
	if _, err := c.trusted(); err != nil {
		errs = errors.Join(errs, err)
	}
	if len(c.TrustedProxies) > 0 && c.ClientIP != clientIPForward {
		errs = errors.Join(errs, fmt.Errorf("`trusted_proxies` needs `client_ip`: %s", clientIPForward))
	}
	return errors.Join(errs,
		check.OneOf("unknown_fields", c.UnknownFields, unknownKeep, unknownReject),
		check.OneOf("client_ip", c.ClientIP, clientIPOff, clientIPForward),
		check.Between("min_id_length", c.MinIDLength, 1, amplitude.MaxStringLength))
}

// trusted returns the networks of trusted proxies.
func (c *Config) trusted() ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(c.TrustedProxies))
	for _, text := range c.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if address, single := netip.ParseAddr(text); err != nil && single == nil {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("`trusted_proxies` must hold networks such as 10.0.0.0/8 (got %q)", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// projects returns the names of projects by key.
func (c *Config) projects() map[string]string {
	all := make(map[string]string, len(c.APIKeys))
	for _, k := range c.APIKeys {
		all[string(k.Key)] = k.Project
	}
	return all
}
