// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudetapextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension"

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

const (
	// defaultEndpoint is on the loopback interface: anyone who can reach it sees who was exposed to what.
	defaultEndpoint = "127.0.0.1:8587"
	// defaultPerSecond is more than anyone can read.
	defaultPerSecond = 100
	maxPerSecond     = 1000
)

// Config configures where decisions are served, and how many.
type Config struct {
	confighttp.ServerConfig `mapstructure:",squash"`

	// MaxRecordsPerSecond bounds the records that a client receives: rare outcomes first, and the number of the rest.
	MaxRecordsPerSecond int `mapstructure:"max_records_per_second"`
	// ShowIDs shows ids of users, devices and groups. Otherwise they are masked: an id is masked the same way as long
	// as the Collector runs.
	ShowIDs bool `mapstructure:"show_ids"`
	// AllowedHosts are host names that requests may use, in addition to localhost and the address of `endpoint`.
	AllowedHosts []string `mapstructure:"allowed_hosts"`
}

var (
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Validator   = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = defaultEndpoint
	server.WriteTimeout = 0 // each write has its own deadline, and a stream never ends
	return &Config{ServerConfig: server, MaxRecordsPerSecond: defaultPerSecond}
}

// Unmarshal suggests the likely intended name for each unknown key.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	return didyoumean.Unmarshal(conf, c)
}

// Validate refuses to serve everyone: other machines only with authentication, and never pages of other sites.
func (c *Config) Validate() error {
	host, err := check.Endpoint("endpoint", c.NetAddr.Endpoint)
	if err != nil {
		return err
	}
	var problems []error
	if !loopback.IsHost(host) && !c.Auth.HasValue() {
		problems = append(problems, fmt.Errorf("endpoint %s is reachable from other machines, which can see who was exposed to what: "+
			"listen on 127.0.0.1 and reach it through an SSH tunnel, or name an extension in auth::authenticator", c.NetAddr.Endpoint))
	}
	if c.CORS.HasValue() {
		problems = append(problems, errors.New("cors must not be set: pages of other sites may not read decisions"))
	}
	if c.MaxRecordsPerSecond < 1 || c.MaxRecordsPerSecond > maxPerSecond {
		problems = append(problems, fmt.Errorf("max_records_per_second must be from 1 to %d (got %d)", maxPerSecond, c.MaxRecordsPerSecond))
	}
	return errors.Join(problems...)
}
