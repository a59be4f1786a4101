"""Coordinates as waves, for networks that represent a signal: Fourier features, SIREN, NeRF's encoding.

    fourier_features(p, x) -> (..., 2 f)               of random frequencies
    nerf_encoding(x, frequencies=10) -> (..., 20 d)    of octaves
    siren(p, x) -> (..., d_out)                        a layer whose activation is a sine

Laws: features of random or octave frequencies are in [-1, 1], and so are a SIREN's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import normal
from jnn.layers._linear import linear, linear_spec
from jnn.param import Param, Spec
from jnn.precision import wide


def fourier_features_spec(d_in: int, features: int, *, scale: float = 1.0, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares Fourier features (`fourier_features`); to keep them as drawn, give them to no optimizer.

    Args:
      d_in: how many coordinates there are.
      features: how many frequencies.
      scale: their standard deviation: the greater, the finer the detail.
      dtype: of them.

    Returns:
      {"w": (d_in, features)}

    >>> fourier_features_spec(2, 64)["w"].shape
    (2, 64)
    """
    return {"w": Param((d_in, features), normal(scale), ("embed", "hidden"), dtype, ("embed",), ("hidden",))}


def fourier_features(p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Fourier features: `[cos(2 pi x W), sin(2 pi x W)]`.

    See "Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains", Tancik et al., 2020.

    Args:
      p: as declared by `fourier_features_spec`.
      x: (..., d), floating point.

    Returns:
      (..., 2 f), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x does not fit p.

    >>> fourier_features({"w": jnp.ones((3, 8))}, jnp.ones((5, 3))).shape
    (5, 16)
    """
    checks.params("fourier_features", p, "w")
    checks.floats("fourier_features", x)
    checks.trailing("fourier_features", x, p["w"].shape[:1])
    exact = wide(x)  # an angle in 16 bits is wrong by much of a turn
    angle = 2 * math.pi * jnp.tensordot(exact, p["w"].astype(exact.dtype), 1, precision="highest")
    return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], -1).astype(x.dtype)


def nerf_encoding(x: jax.Array, *, frequencies: int) -> jax.Array:
    """NeRF's positional encoding: `sin(2^k pi x)` and `cos(2^k pi x)` for k below `frequencies`.

    See "NeRF: Representing Scenes as Neural Radiance Fields for View Synthesis", Mildenhall et al., 2020.

    Args:
      x: (..., d), floating point, in [-1, 1].
      frequencies: how many octaves.

    Returns:
      (..., 2 frequencies d), in x's dtype: the sines of all octaves, octave by octave, then the cosines.

    Raises:
      TypeError: x is not floating point.
      ValueError: there is no frequency.

    >>> nerf_encoding(jnp.zeros(1), frequencies=2).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    checks.floats("nerf_encoding", x)
    if frequencies < 1:
        raise ValueError(f"nerf_encoding: expected at least one frequency, found {frequencies}.")
    exact = wide(x)
    angles = jnp.concatenate([exact * (2.0**k * math.pi) for k in range(frequencies)], -1)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1).astype(x.dtype)


def siren_spec(
    d_in: int,
    d_out: int,
    *,
    first: bool = False,
    frequency: float = 30.0,
    bias: bool = True,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a layer of a SIREN (`siren`), its weights uniform so that every layer's angles are distributed alike.

    Args:
      d_in: the size of the last axis of the input.
      d_out: the same of the output.
      first: whether it is the first layer, which reads coordinates: within 1 / d_in; others within
        sqrt(6 / d_in) / frequency.
      frequency: the one that `siren` is given.
      bias: whether there is one.
      dtype: of both.

    Returns:
      {"w": (d_in, d_out), "b": (d_out,)}

    >>> siren_spec(2, 64, first=True)["w"].shape
    (2, 64)
    """
    bound = 1 / d_in if first else math.sqrt(6 / d_in) / frequency

    def within(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
        return jax.random.uniform(key, tuple(shape), dtype, -bound, bound)

    return linear_spec(d_in, d_out, bias=bias, init=within, dtype=dtype)


def siren(p: dict[str, jax.Array], x: jax.Array, *, frequency: float = 30.0) -> jax.Array:
    """SIREN layer: `sin(frequency (x W + b))`.

    See "Implicit Neural Representations with Periodic Activation Functions", Sitzmann et al., 2020.

    Args:
      p: as declared by `siren_spec`.
      x: (..., d_in), floating point.
      frequency: of the sine.

    Returns:
      (..., d_out), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x does not fit p.

    >>> siren({"w": jnp.zeros((2, 1))}, jnp.ones(2)).tolist()
    [0.0]
    """
    return jnp.sin(frequency * wide(linear(p, x))).astype(x.dtype)
