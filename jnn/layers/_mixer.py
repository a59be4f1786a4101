"""What layers around `linear_attention` share: maps, short convolutions, decays, a norm and the way out.

Axes: as in `_mamba2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain
from jnn.initializers import Init, lecun_normal, ones, zeros
from jnn.layers._causal_conv import short_conv
from jnn.layers._linear import linear, linear_spec
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Param, Params, Spec
from jnn.precision import add_bias, wide

Mixed = dict[str, Any]  # the carry: {"state", "past"}


def mixer_spec(
    layer: str,
    d: int,
    heads: int,
    groups: int,
    states: int,
    head: int,
    taps: int,
    init: Init,
    dtype: DTypeLike,
    conv_bias: bool = False,
) -> Spec:
    """What both layers have."""
    if heads % groups:
        raise ValueError(f"{layer}: {groups} groups do not divide {heads} heads.")

    def inward(sizes: tuple[int, ...], *axes: str, bias: bool = False) -> Spec:
        return linear_spec(d, sizes, axes=("embed", *axes), bias=bias, init=init, dtype=dtype)

    def filters(*sizes: int, axes: tuple[str, ...]) -> Param:
        return Param((taps, *sizes), lecun_normal, ("taps", *axes), dtype, fan_in=("taps",))

    shared, own = ("kv_heads", "state"), ("heads", "head")
    biases = {
        **dict.fromkeys(("q", "k"), Param((groups, states), zeros, shared, dtype)),
        "v": Param((heads, head), zeros, own, dtype),
    }
    return {
        **({"conv_bias": biases} if conv_bias else {}),
        "q": inward((groups, states), *shared),
        "k": inward((groups, states), *shared),
        "v": inward((heads, head), *own),
        "gate": inward((heads, head), *own),
        "step": inward((heads,), "heads") | {"b": Param((heads,), _steps, ("heads",), dtype)},
        "conv": {
            "q": filters(groups, states, axes=shared),
            "k": filters(groups, states, axes=shared),
            "v": filters(heads, head, axes=own),
        },
        "rate": Param((heads,), _rates, ("heads",), dtype),
        "norm": {"scale": Param((heads, head), ones, own, dtype)},
        "o": linear_spec((heads, head), d, axes=(*own, "embed"), bias=False, init=init, dtype=dtype),
    }


def _steps(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
    """Biases whose softplus is between 0.001 and 0.1, evenly in its logarithm."""
    step = jnp.exp(jax.random.uniform(key, shape, jnp.float32, jnp.log(0.001), jnp.log(0.1)))
    return (step + jnp.log(-jnp.expm1(-step))).astype(dtype)


def _rates(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
    """Logarithms of rates between 1 and 16, evenly."""
    return jnp.log(jax.random.uniform(key, shape, jnp.float32, 1.0, 16.0)).astype(dtype)


def convolved(
    layer: str, p: Params, x: jax.Array, carry: Mixed | None
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], Mixed]:
    """Queries, keys (..., t, h, n), values (..., t, h, p) behind their convolutions; and the pasts of these."""
    checks.map_parts(layer, p, "q", "k", "v")
    checks.floats(layer, x, ndim=2)
    checks.trailing(layer, x, weight_shape(p["v"]["w"])[:1])
    if carry is not None:
        checks.params(layer, carry, "state", "past", what="carry")
    mixed, past = {}, {}
    for name in "qkv":
        before = None if carry is None else carry["past"][name]
        mixed[name], past[name] = short_conv(p["conv"][name], linear(p[name], x), before)
        if "conv_bias" in p:
            mixed[name] = add_bias(mixed[name], p["conv_bias"][name])
        mixed[name] = jax.nn.silu(mixed[name])
    heads = mixed["v"].shape[-2]
    each = lambda a: jnp.repeat(a, heads // a.shape[-2], -2)
    q, k, v = (constrain(a, "time", "heads", "head") for a in (each(mixed["q"]), each(mixed["k"]), mixed["v"]))
    return (q, k, v), past


def decays(p: Params, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The step of each row and head, (..., t, h), and the logarithm of what it leaves of the state."""
    step = jax.nn.softplus(wide(linear(p["step"], x)))
    return step, -step * jnp.exp(wide(p["rate"]).reshape((1,) * (step.ndim - 1) + (-1,)))


def normed(p: Params, y: jax.Array, *, axes: tuple[int, ...], groups: int = 1) -> jax.Array:
    """RMS normalization, of numbers whose squares need not be finite: they are scaled by the greatest first.

    In groups of heads, of (..., h, p), each by itself.
    """
    *leading, heads, size = y.shape
    if groups < 1 or heads % groups:
        raise ValueError(f"mamba2: expected norm_groups that divide the {heads} heads, found {groups}.")
    y = y.reshape(*leading, groups, heads // groups, size)
    most = jax.lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(y), axes, keepdims=True), 1.0))
    small = y / most
    small = small * jax.lax.rsqrt(jnp.mean(jnp.square(small), axes, keepdims=True) + 1e-5 / most / most)
    small, scale = small.reshape(*leading, heads, size), p["norm"].get("scale")
    return small if scale is None else small * wide(scale).reshape((1,) * (small.ndim - scale.ndim) + scale.shape)


def read_out(p: Params, y: jax.Array) -> jax.Array:
    """(..., t, h, p) -> (..., t, d)."""
    return constrain(linear(p["o"], y, in_axes=2), "time", "embed")
