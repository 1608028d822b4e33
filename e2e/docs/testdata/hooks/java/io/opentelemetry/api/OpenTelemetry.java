// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package io.opentelemetry.api;

import io.opentelemetry.api.logs.LoggerProvider;

public interface OpenTelemetry {
  LoggerProvider getLogsBridge();
}
