// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dev.openfeature.sdk;

public interface EvaluationContext {
  String getTargetingKey();
}
