// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package didyoumean_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
)

// config has every form in which a component's configuration can hold keys.
type config struct {
	Plain    string                                    `mapstructure:"plain"`
	Identity identity                                  `mapstructure:"identity"`
	Pointer  *identity                                 `mapstructure:"pointer"`
	Queue    configoptional.Optional[queue]            `mapstructure:"queue"`
	List     []element                                 `mapstructure:"list"`
	Free     map[string]string                         `mapstructure:"free"`
	Client   client                                    `mapstructure:",squash"`
	Wait     time.Duration                             `mapstructure:"wait"`
	Number   configoptional.Optional[int]              `mapstructure:"number"`
	hidden   map[string]configoptional.Optional[queue] //nolint:unused // not a key
}

type identity struct {
	MinIDLength int `mapstructure:"min_id_length"`
}

type queue struct {
	Size    int    `mapstructure:"size"`
	Storage string `mapstructure:"storage"`
}

type element struct {
	Name string `mapstructure:"name"`
}

type client struct {
	Endpoint string `mapstructure:"endpoint"`
	Ignored  string `mapstructure:"-"`
}

func (c *config) Unmarshal(conf *confmap.Conf) error { return didyoumean.Unmarshal(conf, c) }

func TestKeys(t *testing.T) {
	for _, tc := range []struct{ yaml, hint string }{
		{"min_id_length: 3", `"min_id_length" is in the wrong place: did you mean "identity::min_id_length" or "pointer::min_id_length"?`},
		{"identity: {plain: x}", `"identity::plain" is in the wrong place: did you mean "plain"`},
		{"identity: {min_id_lengh: 3}", `"identity::min_id_lengh" is not a key: did you mean "identity::min_id_length"?`},
		{"storag: x", `"storag" is not a key: did you mean "queue::storage"?`},
		{"queue: {enabled: true, siez: 3}", `"queue::siez" is not a key: did you mean "queue::size"?`},
		{"list: [{name: a}, {nam: b}]", `"list[1]::nam" is not a key: did you mean "list[1]::name"?`},
		{"endpiont: x", `"endpiont" is not a key: did you mean "endpoint"?`},
		{"pointer: {plian: x}", `"pointer::plian" is not a key: did you mean "plain"?`},
		{"Plain: x", `"Plain" is not a key: did you mean "plain"?`},
		{"something_else: 1", ""},
		{"plain: [not, a, text]", ""},
	} {
		t.Run(tc.yaml, func(t *testing.T) {
			retrieved, err := confmap.NewRetrievedFromYAML([]byte(tc.yaml))
			require.NoError(t, err)
			conf, err := retrieved.AsConf()
			require.NoError(t, err)
			err = conf.Unmarshal(&config{})
			if tc.hint == "" {
				require.Error(t, err)
				assert.NotContains(t, err.Error(), "did you mean")
				return
			}
			require.ErrorContains(t, err, tc.hint)
			assert.Equal(t, 1, strings.Count(err.Error(), "did you mean"), "only the key that is wrong: %s", err)
		})
	}
	good := map[string]any{"plain": "x", "free": map[string]any{"anything": "goes"}, "queue": map[string]any{"enabled": false}, "endpoint": "x"}
	require.NoError(t, confmap.NewFromStringMap(good).Unmarshal(&config{}))
}
