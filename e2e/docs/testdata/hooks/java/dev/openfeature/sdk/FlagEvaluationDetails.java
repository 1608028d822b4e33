// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dev.openfeature.sdk;

public class FlagEvaluationDetails<T> {
  private final T value;
  private final String variant;
  private final String reason;

  public FlagEvaluationDetails(T value, String variant, String reason) {
    this.value = value;
    this.variant = variant;
    this.reason = reason;
  }

  public String getFlagKey() {
    return "checkout-flow";
  }

  public T getValue() {
    return value;
  }

  public String getVariant() {
    return variant;
  }

  public String getReason() {
    return reason;
  }
}
