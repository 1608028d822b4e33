// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package io.opentelemetry.api.logs;

import io.opentelemetry.api.common.AttributeKey;
import java.time.Instant;

public interface LogRecordBuilder {
  LogRecordBuilder setTimestamp(Instant instant);

  <T> LogRecordBuilder setAttribute(AttributeKey<T> key, T value);

  void emit();
}
