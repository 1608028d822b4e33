// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dev.openfeature.sdk;

public final class HookContext<T> {
  public EvaluationContext getCtx() {
    return () -> "shopper-0042";
  }

  public Metadata getProviderMetadata() {
    return () -> "Shop";
  }
}
