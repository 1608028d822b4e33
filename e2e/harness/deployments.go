// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// Deployment is what a file in deploy/ gives the Collector: memory, and the matching settings of the Go runtime.
type Deployment struct {
	// File is the file in deploy/, Config the configuration that it runs, both with slashes.
	File, Config string
	// Memory is the limit of the container or unit in bytes. The image has none, so it is that of the `docker run` in
	// docs/operations.md.
	Memory int
	// MemoryLimit is GOMEMLIMIT in bytes, and GOGC is in percent; 0 if they are not set.
	MemoryLimit, GOGC int
}

// Environ returns the settings as environment variables.
func (d Deployment) Environ() []string {
	return []string{"GOMEMLIMIT=" + strconv.Itoa(d.MemoryLimit), "GOGC=" + strconv.Itoa(d.GOGC)}
}

// chartShare is the part of the limit, in percent, that the upstream chart makes GOMEMLIMIT with useGOMEMLIMIT.
const chartShare = 80

// Deployments reads all deployments.
func Deployments(t testing.TB) []Deployment {
	t.Helper()
	return []Deployment{
		ofImage(t), ofCompose(t), ofUnit(t),
		ofChart(t, "values.yaml"), ofChart(t, "values.yaml", "values-replicas.yaml"),
		ofChart(t, "values.yaml", "values-replicas.yaml", "values-gateway.yaml"), ofChart(t, "values-edge.yaml"),
	}
}

// DeploymentOf returns the deployment that runs a configuration, given as a path from the root with slashes. A
// configuration outside deploy/ has no deployment; it is run like that of compose.yaml.
func DeploymentOf(t testing.TB, config string) Deployment {
	t.Helper()
	fallback := ofCompose(t)
	for _, d := range Deployments(t) {
		if d.Config == config {
			return d
		}
	}
	require.False(t, strings.HasPrefix(config, "deploy/"), "no deployment runs %s", config)
	return fallback
}

func ofImage(t testing.TB) Deployment {
	dockerfile, operations := readFile(t, "deploy/docker/Dockerfile"), readFile(t, "docs/operations.md")
	run := regexp.MustCompile(`(?s)docker run -d .*? otelcol-amplitude\n`).FindString(operations)
	require.NotEmpty(t, run, "docs/operations.md runs the image")
	return Deployment{
		File: "docker/Dockerfile", Config: "deploy/docker/config.yaml", Memory: size(t, match(run, `--memory (\S+)`)),
		MemoryLimit: size(t, match(dockerfile, `\bGOMEMLIMIT=(\S+)`)), GOGC: number(t, match(dockerfile, `\bGOGC=(\S+)`)),
	}
}

func ofCompose(t testing.TB) Deployment {
	var compose struct {
		Services map[string]struct {
			Environment map[string]string `yaml:"environment"`
			Memory      string            `yaml:"mem_limit"`
		} `yaml:"services"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(readFile(t, "deploy/docker/compose.yaml")), &compose))
	collector := compose.Services["collector"]
	return Deployment{
		File: "docker/compose.yaml", Config: "deploy/docker/config.yaml", Memory: size(t, collector.Memory),
		MemoryLimit: size(t, collector.Environment["GOMEMLIMIT"]), GOGC: number(t, collector.Environment["GOGC"]),
	}
}

func ofUnit(t testing.TB) Deployment {
	unit := readFile(t, "deploy/systemd/otelcol-amplitude.service")
	return Deployment{
		File: "systemd/otelcol-amplitude.service", Config: "deploy/systemd/config.yaml", Memory: size(t, match(unit, `(?m)^MemoryMax=(\S+)$`)),
		MemoryLimit: size(t, match(unit, `(?m)^Environment=.*\bGOMEMLIMIT=(\S+)`)), GOGC: number(t, match(unit, `(?m)^Environment=.*\bGOGC=(\S+)`)),
	}
}

// ofChart merges values as Helm does: maps key by key, lists as a whole.
func ofChart(t testing.TB, files ...string) Deployment {
	var values struct {
		Resources struct {
			Limits struct {
				Memory string `yaml:"memory"`
			} `yaml:"limits"`
		} `yaml:"resources"`
		UseGOMEMLIMIT bool `yaml:"useGOMEMLIMIT"`
		Env           []struct {
			Name  string `yaml:"name"`
			Value string `yaml:"value"`
		} `yaml:"extraEnvs"`
	}
	for _, file := range files {
		require.NoError(t, yaml.Unmarshal([]byte(readFile(t, "deploy/helm/"+file)), &values))
	}
	last := "helm/" + files[len(files)-1]
	d := Deployment{File: last, Config: "deploy/" + last, Memory: size(t, values.Resources.Limits.Memory)}
	if values.UseGOMEMLIMIT {
		d.MemoryLimit = d.Memory / 100 * chartShare
	}
	for _, variable := range values.Env {
		if variable.Name == "GOGC" {
			d.GOGC = number(t, variable.Value)
		}
	}
	return d
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(Root(), filepath.FromSlash(path)))
	require.NoError(t, err)
	return string(content)
}

func match(text, pattern string) string {
	if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

func number(t testing.TB, text string) int {
	t.Helper()
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// size parses 800MiB, 1Gi, 1G and 1g, which are all powers of two in these files; in Kubernetes, only units with an i
// are.
func size(t testing.TB, text string) int {
	t.Helper()
	digits := strings.TrimRight(text, "KMGBibkmg")
	n := number(t, digits)
	switch unit := strings.ToUpper(text[len(digits):]); {
	case unit == "":
		return n
	case strings.HasPrefix(unit, "M"):
		return n << 20
	case strings.HasPrefix(unit, "G"):
		return n << 30
	}
	require.Fail(t, "a size in another unit than MiB or GiB", text)
	return 0
}
