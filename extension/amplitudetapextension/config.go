// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudetapextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension"

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

const (
	// defaultEndpoint is on the loopback interface: whoever reaches it sees who was exposed to what.
	defaultEndpoint = "127.0.0.1:8587"
	// defaultPerSecond is more than anybody reads.
	defaultPerSecond = 100
	maxPerSecond     = 1000
)

// Config is where decisions are told, and how much of them.
type Config struct {
	confighttp.ServerConfig `mapstructure:",squash"`

	// MaxRecordsPerSecond bounds what a watcher is told of: rare outcomes first, and the number of the rest.
	MaxRecordsPerSecond int `mapstructure:"max_records_per_second"`
	// ShowIDs tells ids of users, devices and groups as they are. Without it they are masked: the same id reads the same
	// as long as the Collector runs.
	ShowIDs bool `mapstructure:"show_ids"`
	// AllowedHosts are host names, beside localhost and the address listened on, that a request may name.
	AllowedHosts []string `mapstructure:"allowed_hosts"`
}

var (
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Validator   = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = defaultEndpoint
	server.WriteTimeout = 0 // each write has its own deadline, and a stream has no end
	return &Config{ServerConfig: server, MaxRecordsPerSecond: defaultPerSecond}
}

// Unmarshal says of keys that do not exist what was probably meant.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	return didyoumean.Unmarshal(conf, c)
}

// Validate refuses to tell everybody: beyond this machine only with authentication, and never pages of other sites.
func (c *Config) Validate() error {
	var problems []error
	host, port, err := net.SplitHostPort(c.NetAddr.Endpoint)
	if err != nil {
		return fmt.Errorf("endpoint must be host:port (got %q)", c.NetAddr.Endpoint)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		problems = append(problems, fmt.Errorf("endpoint must end in a port from 0 to 65535 (got %q)", c.NetAddr.Endpoint))
	}
	if !loopback.IsHost(host) && !c.Auth.HasValue() {
		problems = append(problems, fmt.Errorf("endpoint %s is reachable from other machines, and whoever reaches it sees who was exposed to what: "+
			"listen on 127.0.0.1 and reach it through an SSH tunnel, or name an extension in auth::authenticator", c.NetAddr.Endpoint))
	}
	if c.CORS.HasValue() {
		problems = append(problems, errors.New("cors must be left out: no page of another site may read decisions"))
	}
	if c.MaxRecordsPerSecond < 1 || c.MaxRecordsPerSecond > maxPerSecond {
		problems = append(problems, fmt.Errorf("max_records_per_second must be from 1 to %d (got %d)", maxPerSecond, c.MaxRecordsPerSecond))
	}
	return errors.Join(problems...)
}
