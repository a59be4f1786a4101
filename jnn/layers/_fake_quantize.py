"""Fake quantization: floats that are rounded as integers would be, with a gradient as if they were not.

    fake_quantize(x, scale, bits=8) -> x

Laws: of a weight and its scales it is `dequantize_weight` of `quantize_weight`, bit for bit; forward is reverse mode.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._quantized_weight import blocks_of, over_blocks
from jnn.precision import wide


def fake_quantize(x: jax.Array, scale: jax.Array | float, bits: int = 8) -> jax.Array:
    """Fake quantization: the nearest multiple of a scale that so many bits have, with the straight-through gradient.

    See "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation", Bengio et al.,
    2013; the scale's gradient is that of "Learned Step Size Quantization", Esser et al., 2020.

    Args:
      x: (...), floating point.
      scale: a positive number, or as many axes as x has: one for a block of x each, as of `quantize_weight`.
      bits: 2 to 16, of which multiples are from -(2^(bits - 1) - 1) to that.

    Returns:
      (...), in x's dtype. The gradient of x is 1 where the nearest multiple is in range, and 0 beyond; of the scale
      by how much rounding moved x, in scales, and beyond the range by how many scales that is long.

    Raises:
      TypeError: x is not floating point.
      ValueError: bits are none of these, or the scale's axes do not divide x's.

    >>> value, slope = jax.jvp(lambda x: fake_quantize(x, 0.5, 4), (jnp.array([0.7, 9.0]),), (jnp.ones(2),))
    >>> value.tolist(), slope.tolist()
    ([0.5, 3.5], [1.0, 0.0])
    """
    checks.floats("fake_quantize", x)
    if bits not in range(2, 17):
        raise ValueError(f"fake_quantize: expected 2 to 16 bits, found {bits!r}.")
    scale = jnp.asarray(scale)
    if scale.ndim:
        blocks_of("fake_quantize", x.shape, scale.shape)
    return _rounded(wide(x), wide(scale.astype(wide(x).dtype)), 2 ** (bits - 1) - 1).astype(x.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _rounded(x: jax.Array, scale: jax.Array, most: int) -> jax.Array:
    return over_blocks(lambda x, scale: jnp.round(x / scale).clip(-most, most) * scale, x, scale)


@_rounded.defjvp
def _rounded_jvp(most: int, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    inside = lambda x, scale: jnp.abs(jnp.round(x / scale)) <= most  # also a greatest that is 127.00001 scales long

    def slope(x: jax.Array, scale: jax.Array) -> jax.Array:
        return jnp.where(inside(x, scale), jnp.round(x / scale) - x / scale, jnp.sign(x) * most)

    (x, scale), (dx, dscale) = primals, tangents
    within = over_blocks(lambda x, scale: inside(x, scale).astype(x.dtype), x, scale)
    by_scale = over_blocks(lambda slope, dscale: slope * dscale, over_blocks(slope, x, scale), dscale)
    return _rounded(x, scale, most), within * dx + by_scale
