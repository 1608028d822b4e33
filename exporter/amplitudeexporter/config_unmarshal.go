// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"errors"
	"reflect"
	"strings"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
)

var _ confmap.Unmarshaler = (*Config)(nil)

// Unmarshal reads the region in any case and refuses keys that do not exist. Without it they would be ignored, at every level: the
// Unmarshal of a squashed confighttp.ClientConfig decodes with unused keys allowed.
func (cfg *Config) Unmarshal(conf *confmap.Conf) error {
	if err := conf.Unmarshal(cfg); err != nil {
		return didyoumean.WithKeys(err, conf, cfg)
	}
	if err := conf.Unmarshal(reflect.New(knownKeys).Interface()); err != nil {
		// A type without a name shows as its whole definition.
		err = errors.New(strings.ReplaceAll(err.Error(), knownKeys.String(), reflect.TypeFor[Config]().String()))
		return didyoumean.WithKeys(err, conf, cfg)
	}
	cfg.Region = strings.ToLower(cfg.Region)
	return nil
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
