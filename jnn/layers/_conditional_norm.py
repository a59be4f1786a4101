"""Scales and offsets that a condition chooses: FiLM and adaptive layer normalization.

A condition (..., d_condition) has the first leading axes of x, and holds over all the axes between those and the last.

Laws: the condition of one example changes no other; FiLM and adaptive layer normalization begin as if there were none.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, zeros
from jnn.layers._linear import linear, linear_spec
from jnn.layers._norm import layer_norm
from jnn.param import Spec
from jnn.precision import wide


def film_spec(
    d_condition: int,
    channels: int,
    *,
    axes: tuple[str, str, str] = ("condition", "parts", "channels"),
    init: Init = zeros,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a map from a condition to a scale and an offset of each channel.

    Args:
      d_condition: features of the condition.
      channels: of what is modulated.
      axes: names of w's axes.
      init: initial values of w; zeros make no difference between conditions at first.
      dtype: of both parameters.

    Returns:
      {"w": (d_condition, 2, channels), "b": (2, channels)}: scale and offset.

    >>> film_spec(4, 8)["w"].shape
    (4, 2, 8)
    """
    return linear_spec(d_condition, (2, channels), axes=axes, init=init, dtype=dtype)


def film(p: dict[str, jax.Array], x: jax.Array, condition: jax.Array) -> jax.Array:
    """Feature-wise linear modulation (FiLM): `(1 + scale) * x + offset`, both linear in a condition.

    See "FiLM: Visual Reasoning with a General Conditioning Layer", Perez et al., 2018.

    Args:
      p: as `film_spec` returns.
      x: (..., c), floating point.
      condition: (..., d_condition), its leading axes the first of x's.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: an input is not floating point.
      ValueError: shapes do not fit p or each other.

    >>> p = {"w": jnp.array([[[1.0, 2.0], [0.0, 5.0]]])}
    >>> film(p, jnp.ones((3, 2)), jnp.ones(1))[0].tolist()
    [2.0, 8.0]
    """
    scale, offset = _modulation("film", p, x, condition, 2)
    return (wide(x) * (1 + scale) + offset).astype(x.dtype)


ada_layer_norm_spec = film_spec
"""Declares the scale and offset of adaptive layer normalization: as `film_spec`."""


def ada_layer_norm(p: dict[str, jax.Array], x: jax.Array, condition: jax.Array, *, epsilon: float = 1e-6) -> jax.Array:
    """Adaptive layer normalization (adaLN): `film` of `layer_norm`, which has no parameters of its own.

    See "Scalable Diffusion Models with Transformers", Peebles and Xie, 2023; there the condition is the SiLU of an
    embedding.

    Args:
      p: as `film_spec` returns.
      x: (..., d), floating point.
      condition: (..., d_condition), its leading axes the first of x's.
      epsilon: added to the variance.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: an input is not floating point.
      ValueError: shapes do not fit p or each other.

    >>> p = {"w": jnp.zeros((1, 2, 2)), "b": jnp.array([[1.0, 1.0], [5.0, 5.0]])}
    >>> ada_layer_norm(p, jnp.array([1.0, 3.0]), jnp.ones(1)).round().tolist()
    [3.0, 7.0]
    """
    scale, offset = _modulation("ada_layer_norm", p, x, condition, 2)
    return (layer_norm({}, wide(x), epsilon=epsilon) * (1 + scale) + offset).astype(x.dtype)


def ada_layer_norm_zero_spec(
    d_condition: int,
    d: int,
    *,
    axes: tuple[str, str, str] = ("condition", "parts", "channels"),
    init: Init = zeros,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares adaptive layer normalization with a gate.

    Args:
      d_condition: features of the condition.
      d: features of what is normalized.
      axes, init, dtype: as in `film_spec`.

    Returns:
      {"w": (d_condition, 3, d), "b": (3, d)}: scale, offset and gate.

    >>> ada_layer_norm_zero_spec(4, 8)["w"].shape
    (4, 3, 8)
    """
    return linear_spec(d_condition, (3, d), axes=axes, init=init, dtype=dtype)


def ada_layer_norm_zero(
    p: dict[str, jax.Array], x: jax.Array, condition: jax.Array, *, epsilon: float = 1e-6
) -> tuple[jax.Array, jax.Array]:
    """Adaptive layer normalization with a gate (adaLN-zero), to be multiplied with what the branch behind it adds.

    See "Scalable Diffusion Models with Transformers", Peebles and Xie, 2023. A gate of zeros, as at first, makes of a
    residual block the identity: `y, gate = ada_layer_norm_zero(p, x, c); x + gate * attention(q, y)`.

    Args:
      p: as `ada_layer_norm_zero_spec` returns.
      x, condition, epsilon: as in `ada_layer_norm`.

    Returns:
      As `ada_layer_norm`, and the gate, (..., 1, d), which broadcasts against it; both in x's dtype.

    Raises:
      As `ada_layer_norm`.

    >>> y, gate = ada_layer_norm_zero({"w": jnp.zeros((1, 3, 2))}, jnp.ones((4, 2)), jnp.ones(1))
    >>> gate.tolist()
    [[0.0, 0.0]]
    """
    scale, offset, gate = _modulation("ada_layer_norm_zero", p, x, condition, 3)
    h = layer_norm({}, wide(x), epsilon=epsilon) * (1 + scale) + offset
    return h.astype(x.dtype), gate.astype(x.dtype)


def _modulation(layer: str, p: dict[str, jax.Array], x: jax.Array, condition: jax.Array, parts: int) -> list[jax.Array]:
    """Each part (..., 1, c), in float32 at least, with axes of size 1 for those of x between leading and last."""
    checks.params(layer, p, "w", may=("b",))
    checks.floats(layer, x)
    checks.floats(layer, condition)
    checks.trailing(layer, condition, p["w"].shape[:1])
    if p["w"].shape[1:] != (parts, x.shape[-1]):
        raise ValueError(
            f"{layer}: expected w (d_condition, {parts}, {x.shape[-1]}) for {checks.describe(x)}, found {p['w'].shape}."
            f" Declare it by {layer}_spec(d_condition, {x.shape[-1]})."
        )
    leading = condition.shape[:-1]
    if len(leading) >= x.ndim or x.shape[: len(leading)] != leading:
        raise ValueError(
            f"{layer}: the leading axes of the condition {checks.describe(condition)} must be the first of x "
            f"{checks.describe(x)}."
        )
    h = wide(linear(p, condition))
    between = (1,) * (x.ndim - 1 - len(leading))
    return [h[..., part, :].reshape(*leading, *between, -1) for part in range(parts)]
