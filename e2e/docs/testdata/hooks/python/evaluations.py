# Copyright The otelcol-amplitude Authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the hook after the evaluations of hooks_test.go, and prints each record in one line."""
import logging
from types import SimpleNamespace

from exposure_hook import ExposureHook

ORDINARY = set(vars(logging.makeLogRecord({})))


class Printed(logging.Handler):
    """Stands for OpenTelemetry's LoggingHandler: what a record has beyond the ordinary becomes attributes."""

    def emit(self, record):
        attributes = {name: value for name, value in vars(record).items() if name not in ORDINARY}
        print(*(f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in sorted(attributes.items())))


def evaluated(value, variant, reason):
    context = SimpleNamespace(
        provider_metadata=SimpleNamespace(name="Shop"), evaluation_context=SimpleNamespace(targeting_key="shopper-0042"))
    ExposureHook().after(context, SimpleNamespace(flag_key="checkout-flow", value=value, variant=variant, reason=reason), {})


logging.basicConfig(level=logging.INFO, handlers=[Printed()])
evaluated("#0a0", "one-page", "SPLIT")
evaluated("one-page", "", "TARGETING_MATCH")
evaluated(False, None, None)
evaluated(7, None, None)
evaluated({"columns": 3}, None, None)
