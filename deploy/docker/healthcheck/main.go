// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command healthcheck asks the health_check extension whether the Collector is ready. It is the image's
// HEALTHCHECK: a distroless image has neither a shell nor curl.
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/deploy/docker/healthcheck"

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const timeout = 3 * time.Second

func main() {
	url := cmp.Or(os.Getenv("HEALTHCHECK_URL"), "http://127.0.0.1:13133/")
	if err := check(url); err != nil {
		fmt.Fprintln(os.Stderr, "healthcheck:", err)
		os.Exit(1)
	}
}

func check(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil) //nolint:gosec // the container's own configuration names the address
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return err
	}
	return fmt.Errorf("%s answered %s: %s", url, response.Status, body)
}
