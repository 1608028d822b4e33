// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dev.openfeature.sdk;

import java.util.Map;

public interface Hook<T> {
  default void after(HookContext<T> context, FlagEvaluationDetails<T> details, Map<String, Object> hints) {}
}
