// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

import dev.openfeature.sdk.FlagEvaluationDetails;
import dev.openfeature.sdk.HookContext;
import java.util.Map;

/** Runs the hook after the evaluations of hooks_test.go. */
public final class Evaluations {
  public static void main(String[] arguments) {
    evaluated("#0a0", "one-page", "SPLIT");
    evaluated("one-page", "", "TARGETING_MATCH");
    evaluated(false, null, null);
    evaluated(7, null, null);
    evaluated(Map.of("columns", 3), null, null);
  }

  private static void evaluated(Object value, String variant, String reason) {
    new ExposureHook().after(new HookContext<>(), new FlagEvaluationDetails<>(value, variant, reason), Map.of());
  }
}
