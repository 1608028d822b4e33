# Copyright The otelcol-amplitude Authors
# SPDX-License-Identifier: Apache-2.0
"""What the hook of docs/recipes.md needs of the OpenFeature SDK."""


class Hook:
    pass
