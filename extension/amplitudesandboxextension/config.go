// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudesandboxextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension"

import (
	"fmt"
	"net"
	"strconv"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// defaultEndpoint is on the loopback interface: whoever reaches the sandbox reads all that was sent to it.
const defaultEndpoint = "127.0.0.1:8585"

// Config is where the sandbox listens and how it behaves.
type Config struct {
	// Endpoint is the address to listen on, host:port; port 0 takes a free one.
	Endpoint string `mapstructure:"endpoint"`
	// TLS makes the sandbox speak HTTPS.
	TLS configoptional.Optional[configtls.ServerConfig] `mapstructure:"tls"`

	// Sandbox is the configuration of the sandbox itself.
	Sandbox sandbox.Config `mapstructure:",squash"`
}

var (
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Validator   = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{Endpoint: defaultEndpoint, Sandbox: sandbox.DefaultConfig()}
}

// Unmarshal says of keys that do not exist what was probably meant.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	return didyoumean.Unmarshal(conf, c)
}

// Validate checks the endpoint; the sandbox's configuration checks itself.
func (c *Config) Validate() error {
	_, port, err := net.SplitHostPort(c.Endpoint)
	if err != nil {
		return fmt.Errorf("endpoint must be host:port (got %q)", c.Endpoint)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("endpoint must end in a port from 0 to 65535 (got %q)", c.Endpoint)
	}
	return nil
}
