// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package io.opentelemetry.api;

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.logs.LogRecordBuilder;
import io.opentelemetry.api.logs.LoggerProvider;
import java.time.Instant;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** Prints each record in one line. */
public final class GlobalOpenTelemetry {
  public static OpenTelemetry get() {
    LoggerProvider loggers = name -> Printed::new;
    return () -> loggers;
  }

  private static final class Printed implements LogRecordBuilder {
    private final Map<String, Object> attributes = new TreeMap<>();

    @Override
    public LogRecordBuilder setTimestamp(Instant instant) {
      return this;
    }

    @Override
    public <T> LogRecordBuilder setAttribute(AttributeKey<T> key, T value) {
      attributes.put(key.getKey(), value);
      return this;
    }

    @Override
    public void emit() {
      System.out.println(attributes.entrySet().stream().map(e -> e.getKey() + "=" + e.getValue()).collect(Collectors.joining(" ")));
    }
  }
}
