// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Regions of an Amplitude project.
const (
	RegionUS = "us"
	RegionEU = "eu"
)

// Config configures a sandbox: its projects, how Amplitude behaves, and how much is kept.
type Config struct {
	// APIKeys are the keys of projects in Region; each key is a project of its own.
	APIKeys []string
	// Region is the region of this server.
	Region string
	// Projects are additional projects, such as one in the other region, whose key is refused here.
	Projects []Project
	// Behavior holds every switch on how Amplitude behaves.
	Behavior Behavior
	// Retention bounds what is kept, so that a sandbox can run for days.
	Retention Retention
	// Weights are the expected shares of users per flag and variant, for the sample-ratio test; flags that are not
	// listed have equal shares.
	Weights map[string]map[string]float64
	// AllowedHosts are host names, in addition to localhost, that requests from browsers may use.
	AllowedHosts []string
	// AllowedOrigins are origins, such as https://shop.example, whose pages may send events; AnyOrigin allows every
	// site.
	AllowedOrigins []string
	// OTLPEndpoint is the OTLP/HTTP receiver for log records from the page's Send form; /v1/logs is appended. If empty,
	// the form sends only to the sandbox.
	OTLPEndpoint string
}

// Project is one project of the sandbox.
type Project struct {
	APIKey string
	Region string
}

// Retention bounds the memory of a sandbox.
type Retention struct {
	// Events bounds the events kept, regardless of their verdict; the oldest are dropped first.
	Events int `json:"events" mapstructure:"events"`
	// EventBytes bounds the size of the events kept; the oldest are dropped first.
	EventBytes int64 `json:"event_bytes" mapstructure:"event_bytes"`
	// Requests bounds the request log; the oldest are dropped first.
	Requests int `json:"requests" mapstructure:"requests"`
	// RequestBytes bounds the size of the request log; the oldest are dropped first.
	RequestBytes int64 `json:"request_bytes" mapstructure:"request_bytes"`
	// RequestBody is how much of one body is kept.
	RequestBody int `json:"request_body" mapstructure:"request_body"`
	// Users bounds the users kept; the least recently seen are dropped first.
	Users int `json:"users" mapstructure:"users"`
	// PropertyBytes bounds what is kept about users and groups: properties with their history, devices and flags. The
	// least recently seen are dropped first; one user has at most a quarter of it.
	PropertyBytes int64 `json:"property_bytes" mapstructure:"property_bytes"`
	// History bounds the property changes kept per user.
	History int `json:"history" mapstructure:"history"`
	// DedupeKeys bounds the insert ids remembered.
	DedupeKeys int `json:"dedupe_keys" mapstructure:"dedupe_keys"`
}

// DefaultConfig returns the configuration of a sandbox with the single key "sandbox".
func DefaultConfig() Config {
	return Config{
		APIKeys:      []string{"sandbox"},
		Region:       RegionUS,
		Behavior:     DefaultBehavior(),
		Retention:    DefaultRetention(),
		OTLPEndpoint: "http://127.0.0.1:4318",
	}
}

// DefaultRetention returns bounds of a few hundred megabytes.
func DefaultRetention() Retention {
	return Retention{
		Events: 100_000, EventBytes: 128 << 20,
		Requests: 2_000, RequestBytes: 32 << 20, RequestBody: 64 << 10,
		Users: 100_000, PropertyBytes: 128 << 20, History: 200, DedupeKeys: 1_000_000,
	}
}

// Validate returns what is wrong, one error per key.
func (c *Config) Validate() error {
	var errs []error
	errs = append(errs, oneOf("region", c.Region, RegionUS, RegionEU), under("behavior", c.Behavior.validate()), under("retention", c.Retention.validate()))
	if len(c.APIKeys)+len(c.Projects) == 0 {
		errs = append(errs, errors.New("api_keys must name at least one key"))
	}
	seen := map[string]bool{}
	for _, p := range c.projects() {
		switch key := p.APIKey; {
		case key == "":
			errs = append(errs, errors.New("api_keys must not contain an empty key"))
		case seen[key]:
			errs = append(errs, errors.New("api_keys must not contain duplicate keys"))
		}
		seen[p.APIKey] = true
		errs = append(errs, oneOf("projects::region", p.Region, RegionUS, RegionEU))
	}
	for flag, weights := range c.Weights {
		for variant, w := range weights {
			if !(w > 0) {
				errs = append(errs, fmt.Errorf("weights::%s::%s must be positive (got %v)", flag, variant, w))
			}
		}
	}
	for _, origin := range c.AllowedOrigins {
		if u, err := url.Parse(origin); origin != AnyOrigin && (err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "") {
			errs = append(errs, fmt.Errorf(`allowed_origins must be origins such as https://shop.example, or "*" (got %q)`, origin))
		}
	}
	if u, err := url.Parse(c.OTLPEndpoint); c.OTLPEndpoint != "" && (err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "") {
		errs = append(errs, fmt.Errorf("otlp_endpoint must be a URL such as http://127.0.0.1:4318 (got %q)", c.OTLPEndpoint))
	}
	return errors.Join(errs...)
}

// under prefixes errors with the name of their section.
func under(section string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s::%s", section, strings.ReplaceAll(err.Error(), "\n", "\n"+section+"::"))
}

func oneOf(key, found string, allowed ...string) error {
	if slices.Contains(allowed, found) {
		return nil
	}
	return fmt.Errorf("%s must be %s (got %q)", key, strings.Join(allowed, " or "), found)
}

// projects returns all projects, those of APIKeys first.
func (c *Config) projects() []Project {
	all := make([]Project, 0, len(c.APIKeys)+len(c.Projects))
	for _, key := range c.APIKeys {
		all = append(all, Project{APIKey: key, Region: c.Region})
	}
	return append(all, c.Projects...)
}

// validate returns what is wrong, one error per key.
func (r *Retention) validate() error {
	var errs []error
	for _, limit := range []struct {
		key   string
		value int64
	}{
		{"events", int64(r.Events)},
		{"event_bytes", r.EventBytes},
		{"requests", int64(r.Requests)},
		{"request_bytes", r.RequestBytes},
		{"request_body", int64(r.RequestBody)},
		{"users", int64(r.Users)},
		{"property_bytes", r.PropertyBytes},
		{"history", int64(r.History)},
		{"dedupe_keys", int64(r.DedupeKeys)},
	} {
		if limit.value <= 0 {
			errs = append(errs, fmt.Errorf("%s must be positive (got %d)", limit.key, limit.value))
		}
	}
	return errors.Join(errs...)
}
