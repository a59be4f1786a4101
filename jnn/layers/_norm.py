"""Normalization of each vector by itself: layer and RMS. (Of images: `_group_norm`. By the batch: `_batch_norm`.)

Laws: statistics are computed in float32; "scale" and "bias" are used iff they are in p; leading axes are free, and no
example sees another; scaling x changes nothing (but for epsilon), and shifting it neither, except for `rms_norm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Initializer, ones, zeros
from jnn.param import Param, Spec
from jnn.precision import over_last_axes, wide


def layer_norm_spec(
    size: int | Sequence[int],
    *,
    axes: Sequence[str] = ("embed",),
    scale: bool = True,
    bias: bool = True,
    init: Initializer = ones,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares the scale and offset of layer normalization.

    Args:
      size: of x's last axis, or the sizes of its last axes.
      axes: their names.
      scale: whether there is a "scale".
      bias: whether there is a "bias", initially zero.
      init: initial values of the scale.
      dtype: of both.

    Returns:
      {"scale": size, "bias": size}

    >>> layer_norm_spec(64, bias=False)["scale"].shape
    (64,)
    """
    sizes, names = (size,) if isinstance(size, int) else tuple(size), tuple(axes)
    spec = {"scale": Param(sizes, init, names, dtype)} if scale else {}
    return spec | ({"bias": Param(sizes, zeros, names, dtype)} if bias else {})


def layer_norm(p: dict[str, jax.Array], x: jax.Array, *, in_axes: int = 1, epsilon: float = 1e-5) -> jax.Array:
    """Layer normalization: `(x - mean) / sqrt(var + epsilon) * scale + bias` over the last `in_axes` axes.

    See "Layer Normalization", Ba, Kiros and Hinton, 2016.

    Args:
      p: {"scale": size, "bias": size}, each optional.
      x: (..., *size), floating point.
      in_axes: how many axes size has.
      epsilon: added to the variance.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axes are not those of p, or x is empty.

    >>> layer_norm({}, jnp.array([[1.0, 3.0]])).round(3).tolist()
    [[-1.0, 1.0]]
    """
    check_norm("layer_norm", p, x, in_axes)
    h = standardize(wide(x), tuple(range(-in_axes, 0)), epsilon)
    return scale_and_shift(p, h).astype(x.dtype)


def rms_norm_spec(
    size: int | Sequence[int],
    *,
    axis: str | Sequence[str] = "embed",
    zero_centered: bool = False,
    init: Initializer | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares the scale of RMS normalization: {"scale": size}.

    Args:
      size: of x's last axis, or the sizes of its last axes.
      axis: its name, or their names.
      zero_centered: whether what is kept is the scale less 1, as Gemma keeps it: {"zero_centered_scale": size}.
      init: initial values; those of a scale of 1 by default.
      dtype: of the scale.

    >>> rms_norm_spec(64)["scale"].shape
    (64,)
    """
    sizes, names = (size,) if isinstance(size, int) else tuple(size), (axis,) if isinstance(axis, str) else tuple(axis)
    if zero_centered:
        return {"zero_centered_scale": Param(sizes, init or zeros, names, dtype)}
    return {"scale": Param(sizes, init or ones, names, dtype)}


def rms_norm(p: dict[str, jax.Array], x: jax.Array, *, in_axes: int = 1, epsilon: float = 1e-6) -> jax.Array:
    """RMS normalization: `x / sqrt(mean(x ** 2) + epsilon) * scale` over the last `in_axes` axes.

    See "Root Mean Square Layer Normalization", Zhang and Sennrich, 2019.

    Args:
      p: {"scale": size}, optional; or {"zero_centered_scale": size}, the scale less 1.
      x: (..., *size), floating point.
      in_axes: how many axes size has.
      epsilon: added to the mean square.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axes are not those of p, or x is empty.

    >>> rms_norm({}, jnp.array([3.0, -3.0])).round(3).tolist()
    [1.0, -1.0]
    """
    check_norm("rms_norm", p, x, in_axes, may=("scale", "bias", "zero_centered_scale"))
    h = wide(x)
    h = h * jax.lax.rsqrt(jnp.mean(jnp.square(h), tuple(range(-in_axes, 0)), keepdims=True) + epsilon)
    if "zero_centered_scale" in p:
        p = {**p, "scale": 1 + wide(p["zero_centered_scale"])}
    return scale_and_shift(p, h).astype(x.dtype)


def scale_and_shift(p: dict[str, jax.Array], h: jax.Array) -> jax.Array:
    """`h * scale + bias` over h's last axes, each iff p has it."""
    if "scale" in p:
        h = h * over_last_axes(p["scale"], h)
    return h + over_last_axes(p["bias"], h) if "bias" in p else h


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def standardize(h: jax.Array, axes: tuple[int, ...], epsilon: float) -> jax.Array:
    """h with mean 0 and variance 1 over these axes."""
    h = h - jnp.mean(h, axes, keepdims=True)
    return h * jax.lax.rsqrt(jnp.mean(jnp.square(h), axes, keepdims=True) + epsilon)


@standardize.defjvp
def _standardize_jvp(
    axes: tuple[int, ...], epsilon: float, h: tuple[jax.Array], tangent: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Of two means, where the mean and the variance each have their own in the chain rule: half of the way back."""
    (x,), (dx,) = h, tangent
    average = lambda x: jnp.mean(x, axes, keepdims=True)
    y = standardize(x, axes, epsilon)
    inverse = jax.lax.rsqrt(average(jnp.square(x - average(x))) + epsilon)
    return y, inverse * dx - inverse * average(dx) - y * (inverse * average(y * dx))


def check_norm(
    layer: str, p: dict[str, jax.Array], x: jax.Array, in_axes: int, *, may: tuple[str, ...] = ("scale", "bias")
) -> None:
    """Raises unless x is floating point and its last `in_axes` axes are those of all of p."""
    checks.params(layer, p, may=may)
    checks.floats(layer, x, ndim=in_axes)
    for leaf in p.values():
        if leaf.ndim != in_axes:
            raise ValueError(f"{layer}: its parameters have {leaf.ndim} axes, in_axes is {in_axes}.")
        checks.trailing(layer, x, leaf.shape)
