// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dev.openfeature.sdk;

public interface Metadata {
  String getName();
}
