"""Patches: an image cut into squares without overlap, each a vector by one linear map."""

from __future__ import annotations

import jax

from jnn import checks
from jnn.layers import conv, weight_shape
from jnn.param import Params


def patches(p: Params, x: jax.Array) -> jax.Array:
    """Patch embedding: the convolution whose stride is its kernel; (..., y, x, c) -> (..., rows, columns, d)."""
    checks.params("patches", p, "w", may=("b",), quantized=True)
    return conv(p, x, stride=weight_shape(p["w"])[:2], padding="VALID")
