"""Positions: where a token stands, as a vector to add (learned, sinusoidal) or as a rotation (rotary).

All take positions as integers, so a chunk in the middle of a sequence, a packed row and a single
step of decoding ask for theirs by the same call.

Laws: sinusoidal positions t + n are a rotation of those of t that depends on n alone; the product of two
rotated vectors depends on the difference of their positions alone, and a rotation keeps lengths.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init
from jnn.layers._embed import SMALL, embed_spec, lookup
from jnn.layers._rotary_rates import rates_of
from jnn.param import Spec
from jnn.precision import wide, wide_dtype

Rates = jax.Array | np.ndarray


def learned_positions_spec(
    context: int,
    d: int,
    *,
    axes: tuple[str, str] = ("position", "embed"),
    init: Init = SMALL,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares learned positions: a vector for each of `context`, {"table": (context, d)}.

    Args:
      context: how many positions there are.
      d: the size of a vector.
      axes: names of the two axes.
      init: initial values.
      dtype: of the table, and so of what is looked up.

    >>> learned_positions_spec(128, 64)["table"].axes
    ('position', 'embed')
    """
    return embed_spec(context, d, axes=axes, init=init, dtype=dtype)


def learned_positions(p: dict[str, jax.Array], positions: jax.Array) -> jax.Array:
    """Learned positions: the vector of each, to be added to the token's.

    See "Convolutional Sequence to Sequence Learning", Gehring et al., 2017.

    Args:
      p: {"table": (context, d)}.
      positions: (...), integers in 0..context-1.

    Returns:
      (..., d), in the table's dtype. Under `jit`, NaN for a position out of range.

    Raises:
      TypeError: positions are not integers.
      ValueError: positions are empty, or known to lie out of range.

    >>> learned_positions({"table": jnp.eye(2)}, jnp.arange(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    checks.params("learned_positions", p, "table")
    return lookup("learned_positions", p["table"], positions, what="positions")


def sinusoidal_positions(
    positions: jax.Array,
    d: int,
    *,
    base: float = 10_000.0,
    rates: Rates | None = None,
    interleaved: bool = True,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """Sinusoidal positions: sines and cosines, in turn, of d/2 wavelengths from 2 pi to 2 pi * base, to be added.

    See "Attention Is All You Need", Vaswani et al., 2017.

    Args:
      positions: (...), integers.
      d: how many features; even.
      base: the longest wavelength over 2 pi.
      rates: (d/2,), by how much the angle of each pair grows with a position, instead of those of `base`.
      interleaved: whether each sine stands beside its cosine; otherwise all sines come first, as in the paper's code
        (Tensor2Tensor), Marian and Whisper.
      dtype: of angles and result, float32 or wider.

    Returns:
      (..., d), in this dtype.

    Raises:
      TypeError: positions are not integers.
      ValueError: d is odd, rates are not d/2, or positions are empty.

    >>> sinusoidal_positions(jnp.arange(3), 4).shape
    (3, 4)
    """
    own = rates_of("sinusoidal_positions", d, base)
    if rates is not None and rates.shape != own.shape:
        raise ValueError(f"sinusoidal_positions: expected {d // 2} rates, a pair each, found shape {rates.shape}.")
    angles = _angles("sinusoidal_positions", positions, jnp.asarray(own if rates is None else rates, dtype))
    sin, cos = jnp.sin(angles), jnp.cos(angles)
    if not interleaved:
        return jnp.concatenate([sin, cos], axis=-1)
    return jnp.stack([sin, cos], axis=-1).reshape(*positions.shape, d)


def rotary(
    x: jax.Array,
    positions: jax.Array,
    *,
    base: float = 10_000.0,
    rates: Rates | None = None,
    interleaved: bool = False,
    scale: float = 1.0,
) -> jax.Array:
    """Rotary positions (RoPE): turns each pair of features by an angle that grows with the position.

    See "RoFormer: Enhanced Transformer with Rotary Position Embedding", Su et al., 2021. Feature i is paired with
    i + k/2, as Llama's published weights are in Hugging Face's format; the paper, GPT-J and DeepSeek pair neighbours.

    Args:
      x: (..., t, h, k), floating point; k even, or at least twice as many as there are rates.
      positions: (..., t) or (t,), integers.
      base: the slowest pair turns by about 1 / base a position.
      rates: (n,), by how much each pair turns a position, instead of those of `base`; features from 2 n on are left
        alone. See `rotary_rates`, `llama3_rates`, `yarn_rates`.
      interleaved: whether feature 2 i is paired with 2 i + 1.
      scale: what turned features are multiplied by, such as `yarn_scale(factor)`.

    Returns:
      x's shape and dtype; the rotation is computed in float32 at least.

    Raises:
      TypeError: x is not floating point, or positions not integers.
      ValueError: k is odd, shapes do not fit, or x is empty.

    >>> x = jnp.ones((5, 1, 2))
    >>> bool(jnp.allclose(rotary(x, jnp.arange(5))[0], x[0]))
    True
    """
    checks.floats("rotary", x, ndim=3)
    checks.array("rotary", positions, "positions")
    if positions.shape not in (x.shape[-3:-2], x.shape[:-2]):
        raise ValueError(
            f"rotary: expected positions {x.shape[-3:-2]} or {x.shape[:-2]} for input {checks.describe(x)} "
            f"(..., t, h, k), found {checks.describe(positions)}."
        )
    if rates is None:
        rates = rates_of("rotary", x.shape[-1], base)
    elif rates.ndim != 1 or not 2 <= 2 * len(rates) <= x.shape[-1]:
        raise ValueError(f"rotary: expected 1 to {x.shape[-1] // 2} rates, a pair each, found shape {rates.shape}.")
    angles = _angles("rotary", positions, jnp.asarray(rates, wide_dtype(x)))[..., None, :]
    angles = angles.reshape((1,) * (x.ndim - angles.ndim) + angles.shape)
    sin, cos = scale * jnp.sin(angles), scale * jnp.cos(angles)
    turned, rest = x[..., : 2 * len(rates)], x[..., 2 * len(rates) :]
    if interleaved:
        a, b = wide(turned[..., ::2]), wide(turned[..., 1::2])
        y = jnp.stack([a * cos - b * sin, b * cos + a * sin], axis=-1).reshape(turned.shape)
    else:
        a, b = jnp.split(wide(turned), 2, axis=-1)
        y = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
    return jnp.concatenate([y.astype(x.dtype), rest], -1) if rest.size else y.astype(x.dtype)


def _angles(layer: str, positions: jax.Array, rates: jax.Array) -> jax.Array:
    """positions (...) * rates (n,): (..., n)."""
    checks.integers(layer, positions, name="positions")
    return positions[..., None].astype(rates.dtype) * rates.reshape((1,) * positions.ndim + rates.shape)
