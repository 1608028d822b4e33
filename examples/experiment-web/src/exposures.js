// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// The file to carry over: an ExposureTrackingProvider for Amplitude Experiment's JavaScript client that writes OpenTelemetry log
// records, for pages without Amplitude's analytics SDK. user returns whom the client evaluates for, as its getUser() does.
export const exposuresTo = (logger, user) => ({
  track({ flag_key, variant, experiment_key, metadata }) {
    const { user_id, device_id } = user();
    logger.emit({ eventName: "$exposure", attributes: { flag_key, variant, experiment_key, metadata, "user.id": user_id, "device.id": device_id } });
  },
});
