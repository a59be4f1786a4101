"""Normalization of each example by itself: layer, RMS, group and instance. (By the batch: `batch_norm.py`.)

Laws: statistics are computed in float32; "scale" and "bias" are used iff they are in p; leading axes are free, and no
example sees another; scaling x changes nothing (but for epsilon), and shifting it neither, except for `rms_norm`.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Initializer, ones, zeros
from jnn.param import Param, Spec
from jnn.precision import wide


def layer_norm_spec(
    size: int | Sequence[int],
    *,
    axes: Sequence[str] = ("embed",),
    scale: bool = True,
    bias: bool = True,
    init: Initializer = ones,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares the scale and offset of `layer_norm`.

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
    """`(x - mean) / sqrt(var + epsilon) * scale + bias`, mean and var over the last `in_axes` axes.

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
    _check("layer_norm", p, x, in_axes)
    h = _standardize(wide(x), tuple(range(-in_axes, 0)), epsilon)
    return scale_and_shift(p, h).astype(x.dtype)


def rms_norm_spec(size: int, *, axis: str = "embed", init: Initializer = ones, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares the scale of `rms_norm`: {"scale": (size,)}. Arguments as `layer_norm_spec`.

    >>> rms_norm_spec(64)["scale"].shape
    (64,)
    """
    return {"scale": Param((size,), init, (axis,), dtype)}


def rms_norm(p: dict[str, jax.Array], x: jax.Array, *, epsilon: float = 1e-6) -> jax.Array:
    """`x / sqrt(mean(x ** 2) + epsilon) * scale` over the last axis.

    See "Root Mean Square Layer Normalization", Zhang and Sennrich, 2019. Arguments as `layer_norm`.

    >>> rms_norm({}, jnp.array([3.0, -3.0])).round(3).tolist()
    [1.0, -1.0]
    """
    _check("rms_norm", p, x, 1)
    h = wide(x)
    h = h * jax.lax.rsqrt(jnp.mean(jnp.square(h), -1, keepdims=True) + epsilon)
    return scale_and_shift(p, h).astype(x.dtype)


def group_norm_spec(
    size: int,
    *,
    axis: str = "channels",
    scale: bool = True,
    bias: bool = True,
    init: Initializer = ones,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a scale and an offset per channel, as `group_norm`, `instance_norm` and `batch_norm` take them.

    Args:
      size: how many channels there are.
      axis: the name of that axis.
      scale, bias, init, dtype: as in `layer_norm_spec`; a scale of zeros makes a residual branch start as nothing.

    Returns:
      {"scale": (size,), "bias": (size,)}

    >>> sorted(group_norm_spec(8))
    ['bias', 'scale']
    """
    return layer_norm_spec(size, axes=(axis,), scale=scale, bias=bias, init=init, dtype=dtype)


instance_norm_spec = group_norm_spec


def group_norm(
    p: dict[str, jax.Array], x: jax.Array, groups: int, *, spatial: int = 2, epsilon: float = 1e-5
) -> jax.Array:
    """Normalizes each example over its spatial axes and each group of neighbouring channels.

    See "Group Normalization", Wu and He, 2018.

    Args:
      p: {"scale": (c,), "bias": (c,)}, each optional.
      x: (..., *spatial, c), floating point.
      groups: how many groups the channels fall into.
      spatial: how many spatial axes stand before the channels.
      epsilon: added to the variance.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: groups do not divide the channels; x's channels are not p's; x has too few axes or is empty.

    >>> group_norm({}, jnp.array([[[1.0, 3.0, 5.0, 9.0]]]), groups=2).round(3).tolist()
    [[[-1.0, 1.0, -1.0, 1.0]]]
    """
    return _group_norm("group_norm", p, x, groups, spatial, epsilon)


def instance_norm(p: dict[str, jax.Array], x: jax.Array, *, spatial: int = 2, epsilon: float = 1e-5) -> jax.Array:
    """Normalizes each channel of each example over its spatial axes. Arguments as `group_norm`.

    See "Instance Normalization: The Missing Ingredient for Fast Stylization", Ulyanov, Vedaldi and Lempitsky, 2016.

    >>> instance_norm({}, jnp.array([[1.0], [3.0]]), spatial=1).round(3).tolist()
    [[-1.0], [1.0]]
    """
    return _group_norm("instance_norm", p, x, x.shape[-1] if x.ndim else 1, spatial, epsilon)


def scale_and_shift(p: dict[str, jax.Array], h: jax.Array) -> jax.Array:
    """`h * scale + bias` over h's last axes, each iff p has it."""
    if "scale" in p:
        h = h * over_last_axes(p["scale"], h)
    return h + over_last_axes(p["bias"], h) if "bias" in p else h


def over_last_axes(v: jax.Array, h: jax.Array) -> jax.Array:
    """v in h's dtype and rank, its axes the last of h's."""
    return v.astype(h.dtype).reshape((1,) * (h.ndim - v.ndim) + v.shape)


def _group_norm(
    layer: str, p: dict[str, jax.Array], x: jax.Array, groups: int, spatial: int, epsilon: float
) -> jax.Array:
    _check(layer, p, x, 1)
    checks.rank(layer, x, spatial + 1)
    if groups < 1 or x.shape[-1] % groups:
        raise ValueError(f"{layer}: {groups} groups do not divide the channels of {checks.describe(x)}.")
    h = wide(x).reshape(*x.shape[:-1], groups, -1)
    h = _standardize(h, (*range(-2 - spatial, -2), -1), epsilon)
    return scale_and_shift(p, h.reshape(x.shape)).astype(x.dtype)


def _standardize(h: jax.Array, axes: tuple[int, ...], epsilon: float) -> jax.Array:
    h = h - jnp.mean(h, axes, keepdims=True)
    return h * jax.lax.rsqrt(jnp.mean(jnp.square(h), axes, keepdims=True) + epsilon)


def _check(layer: str, p: dict[str, jax.Array], x: jax.Array, in_axes: int) -> None:
    checks.floats(layer, x, ndim=in_axes)
    for leaf in p.values():
        if leaf.ndim != in_axes:
            raise ValueError(f"{layer}: its parameters have {leaf.ndim} axes, in_axes is {in_axes}.")
        checks.trailing(layer, x, leaf.shape)
