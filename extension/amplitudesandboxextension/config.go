// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudesandboxextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension"

import (
	"errors"
	"net"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// defaultEndpoint is on the loopback interface: anyone who can reach the sandbox can read everything sent to it.
const defaultEndpoint = "127.0.0.1:8585"

// Config configures where the sandbox listens and how it behaves.
type Config struct {
	// Endpoint is the address to listen on, host:port; port 0 picks a free port.
	Endpoint string `mapstructure:"endpoint"`
	// TLS makes the sandbox speak HTTPS.
	TLS configoptional.Optional[configtls.ServerConfig] `mapstructure:"tls"`

	// APIKeys are the keys of projects in `region`; each key is a project of its own.
	APIKeys []configopaque.String `mapstructure:"api_keys"`
	// Region is the region of this server.
	Region string `mapstructure:"region"`
	// Projects are additional projects, such as one in the other region, whose key is refused here.
	Projects []ProjectConfig `mapstructure:"projects"`
	// Behavior holds every switch on how Amplitude behaves.
	Behavior sandbox.Behavior `mapstructure:"behavior"`
	// Retention bounds what is kept, so that a sandbox can run for days.
	Retention sandbox.Retention `mapstructure:"retention"`
	// Weights are the expected shares of users per flag and variant, for the sample-ratio test; flags that are not
	// listed have equal shares.
	Weights map[string]map[string]float64 `mapstructure:"weights"`
	// AllowedHosts are host names that requests may use, in addition to localhost and the address of `endpoint`.
	AllowedHosts []string `mapstructure:"allowed_hosts"`
	// AllowedOrigins are origins, such as https://shop.example, whose pages may send events; AnyOrigin allows every
	// site.
	AllowedOrigins []string `mapstructure:"allowed_origins"`
	// OTLPEndpoint is the OTLP/HTTP receiver for log records from the page's Send form; /v1/logs is appended. If empty,
	// the form sends only to the sandbox.
	OTLPEndpoint string `mapstructure:"otlp_endpoint"`
}

// ProjectConfig is one project of the sandbox.
type ProjectConfig struct {
	// APIKey is the key of the project.
	APIKey configopaque.String `mapstructure:"api_key"`
	// Region is where the project is.
	Region string `mapstructure:"region"`
}

var (
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Validator   = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	d := sandbox.DefaultConfig()
	keys := make([]configopaque.String, len(d.APIKeys))
	for i, key := range d.APIKeys {
		keys[i] = configopaque.String(key)
	}
	return &Config{
		Endpoint: defaultEndpoint, APIKeys: keys, Region: d.Region, Behavior: d.Behavior, Retention: d.Retention, OTLPEndpoint: d.OTLPEndpoint,
	}
}

// sandbox returns the configuration of the sandbox itself. Requests may use the host that it listens on.
func (c *Config) sandbox() sandbox.Config {
	out := sandbox.Config{
		Region: c.Region, Behavior: c.Behavior, Retention: c.Retention, Weights: c.Weights,
		AllowedHosts: slices.Clone(c.AllowedHosts), AllowedOrigins: c.AllowedOrigins, OTLPEndpoint: c.OTLPEndpoint,
	}
	for _, key := range c.APIKeys {
		out.APIKeys = append(out.APIKeys, string(key))
	}
	for _, p := range c.Projects {
		out.Projects = append(out.Projects, sandbox.Project{APIKey: string(p.APIKey), Region: p.Region})
	}
	if host, _, err := net.SplitHostPort(c.Endpoint); err == nil && host != "" {
		out.AllowedHosts = append(out.AllowedHosts, host)
	}
	return out
}

// Unmarshal suggests the likely intended name for each unknown key.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	return didyoumean.Unmarshal(conf, c)
}

// Validate checks the endpoint; the sandbox checks the rest.
func (c *Config) Validate() error {
	if _, err := check.Endpoint("endpoint", c.Endpoint); err != nil {
		return err
	}
	regions := []error{check.OneOf("region", c.Region, sandbox.RegionUS, sandbox.RegionEU)}
	for _, p := range c.Projects {
		regions = append(regions, check.OneOf("projects::region", p.Region, sandbox.RegionUS, sandbox.RegionEU))
	}
	if err := errors.Join(regions...); err != nil {
		return err
	}
	rest := c.sandbox()
	return rest.Validate()
}
