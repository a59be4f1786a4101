"""Layers that mix a sequence by a decaying matrix, in O(t): Mamba-2 and the gated delta net.

    mamba2(p, x) -> (y, carry)                  a whole sequence, or its next chunk: mamba2(p, x, carry)
    gated_delta_net(p, x) -> (y, carry)         the same

Axes: `t` time, `d` embed, `h` heads, `g` groups of heads that share queries and keys (h is a multiple of g), `n` size
of these (the state), `p` size of a head.

Laws: cut a sequence into chunks anywhere: chunk after chunk is the whole; decays are in float32 at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain
from jnn.initializers import Initializer, VarianceScaling, lecun_normal, ones
from jnn.layers._causal_conv import short_conv
from jnn.layers._linear import linear, linear_spec
from jnn.layers._linear_attention import linear_attention
from jnn.param import Param, Params, Spec
from jnn.precision import wide

Carry = dict[str, Any]


def mamba2_spec(
    d: int,
    heads: int,
    *,
    head: int,
    states: int,
    groups: int = 1,
    taps: int = 4,
    init: Initializer | VarianceScaling = lecun_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a Mamba-2 layer.

    Args:
      d: the size of the last axis of x, and of the output.
      heads, head: how many there are, and their size; the paper has heads * head = 2 d.
      states: the size of queries and keys.
      groups: how many of these there are, shared by heads / groups neighbouring heads.
      taps: of the short convolutions.
      init: initial values of the linear maps.
      dtype: of all.

    Returns:
      {"q", "k": {"w": (d, g, n)}, "v", "gate": {"w": (d, h, p)}, "step": {"w": (d, h), "b": (h,)}, "conv": {"q", "k":
      (taps, g, n), "v": (taps, h, p)}, "rate": (h,), "skip": (h,), "norm": {"scale": (h, p)}, "o": {"w": (h, p, d)}}.
      The paper's B, C and x are k, q and v.

    Raises:
      ValueError: groups do not divide heads.

    >>> mamba2_spec(64, 8, head=16, states=32)["k"]["w"].shape
    (64, 1, 32)
    """
    spec = _mixer_spec("mamba2_spec", d, heads, groups, states, head, taps, init, dtype)
    return spec | {"skip": Param((heads,), ones, ("heads",), dtype)}


def mamba2(p: Params, x: jax.Array, carry: Carry | None = None, *, chunk: int = 64) -> tuple[jax.Array, Carry]:
    """Mamba-2: a state space whose decay and step hang on the input, `S = exp(step * -rate) S + step k v'`.

    See "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality",
    Dao and Gu, 2024.

    Args:
      p: as `mamba2_spec` declares.
      x: (..., t, d), floating point: the next chunk of a sequence.
      carry: from the chunk before; None at the start.
      chunk: as in `linear_attention`.

    Returns:
      (..., t, d) in x's dtype, and the carry: {"state": (..., h, n, p), "past": what the convolutions have seen}.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit, or x is empty.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), mamba2_spec(8, 2, head=8, states=4))
    >>> y, carry = mamba2(p, jnp.ones((3, 5, 8)))
    >>> y.shape, carry["state"].shape
    ((3, 5, 8), (3, 2, 4, 8))
    """
    checks.params("mamba2", p, "q", "k", "v", "gate", "step", "conv", "rate", "skip", "norm", "o")
    (q, k, v), past = _convolved("mamba2", p, x, carry)
    step, decay = _decay(p, x)
    added = (wide(v) * step[..., None]).astype(v.dtype)
    y, state = linear_attention(q, k, added, decay, state=None if carry is None else carry["state"], chunk=chunk)
    y = wide(y) + _over_heads(p["skip"], v) * wide(v)
    y = _normed(p, y * jax.nn.silu(wide(linear(p["gate"], x))), axes=(-2, -1))
    return _out(p, y.astype(x.dtype)), {"state": state, "past": past}


def gated_delta_net_spec(
    d: int,
    heads: int,
    *,
    head: int,
    states: int,
    groups: int | None = None,
    taps: int = 4,
    init: Initializer | VarianceScaling = lecun_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a gated delta net.

    Args:
      d, heads, head, states, taps, init, dtype: as in `mamba2_spec`.
      groups: as in it; as many as heads by default.

    Returns:
      As `mamba2_spec`, with "beta": {"w": (d, h)} instead of "skip", and a norm of (p,).

    Raises:
      ValueError: groups do not divide heads.

    >>> gated_delta_net_spec(64, 4, head=16, states=8)["beta"]["w"].shape
    (64, 4)
    """
    groups = heads if groups is None else groups
    spec = _mixer_spec("gated_delta_net_spec", d, heads, groups, states, head, taps, init, dtype)
    beta = linear_spec(d, heads, axes=("embed", "heads"), bias=False, init=init, dtype=dtype)
    return spec | {"beta": beta, "norm": {"scale": Param((head,), ones, ("head",), dtype)}}


def gated_delta_net(p: Params, x: jax.Array, carry: Carry | None = None, *, chunk: int = 64) -> tuple[jax.Array, Carry]:
    """Gated delta net: a decaying memory in which a row writes over what its key stood for.

    See "Gated Delta Networks: Improving Mamba2 with Delta Rule", Yang, Kautz and Hatamizadeh, 2024.

    Args:
      p: as `gated_delta_net_spec` declares.
      x, carry, chunk: as in `mamba2`.

    Returns:
      (..., t, d) in x's dtype, and the carry.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit, or x is empty.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), gated_delta_net_spec(8, 2, head=4, states=4))
    >>> y, carry = gated_delta_net(p, jnp.ones((3, 5, 8)))
    >>> y.shape, carry["state"].shape
    ((3, 5, 8), (3, 2, 4, 4))
    """
    checks.params("gated_delta_net", p, "q", "k", "v", "gate", "beta", "step", "conv", "rate", "norm", "o")
    (q, k, v), past = _convolved("gated_delta_net", p, x, carry)
    q, k = _unit(q) * q.shape[-1] ** -0.5, _unit(k)
    _, decay = _decay(p, x)
    beta = jax.nn.sigmoid(wide(linear(p["beta"], x)))
    state = None if carry is None else carry["state"]
    y, state = linear_attention(q, k, v, decay, beta, state=state, chunk=chunk)
    y = _normed(p, wide(y), axes=(-1,)) * jax.nn.silu(wide(linear(p["gate"], x)))
    return _out(p, y.astype(x.dtype)), {"state": state, "past": past}


def _mixer_spec(
    layer: str,
    d: int,
    heads: int,
    groups: int,
    states: int,
    head: int,
    taps: int,
    init: Initializer | VarianceScaling,
    dtype: DTypeLike,
) -> Spec:
    """What both layers have."""
    if heads % groups:
        raise ValueError(f"{layer}: {groups} groups do not divide {heads} heads.")

    def inward(sizes: tuple[int, ...], *axes: str, bias: bool = False) -> Spec:
        return linear_spec(d, sizes, axes=("embed", *axes), bias=bias, init=init, dtype=dtype)

    def filters(*sizes: int, axes: tuple[str, ...]) -> Param:
        return Param((taps, *sizes), lecun_normal, ("taps", *axes), dtype, fan_in=("taps",))

    shared, own = ("kv_heads", "state"), ("heads", "head")
    return {
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


def _convolved(
    layer: str, p: Params, x: jax.Array, carry: Carry | None
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], Carry]:
    """Queries, keys (..., t, h, n), values (..., t, h, p) behind their convolutions; and the pasts of these."""
    checks.floats(layer, x, ndim=2)
    checks.trailing(layer, x, p["v"]["w"].shape[:1])
    if carry is not None:
        checks.params(layer, carry, "state", "past", what="carry")
    mixed, past = {}, {}
    for name in "qkv":
        before = None if carry is None else carry["past"][name]
        mixed[name], past[name] = short_conv(p["conv"][name], linear(p[name], x), before)
        mixed[name] = jax.nn.silu(mixed[name])
    heads = mixed["v"].shape[-2]
    each = lambda a: jnp.repeat(a, heads // a.shape[-2], -2)
    q, k, v = (constrain(a, "time", "heads", "head") for a in (each(mixed["q"]), each(mixed["k"]), mixed["v"]))
    return (q, k, v), past


def _decay(p: Params, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The step of each row and head, (..., t, h), and the logarithm of what it leaves of the state."""
    step = jax.nn.softplus(wide(linear(p["step"], x)))
    return step, -step * jnp.exp(wide(p["rate"]).reshape((1,) * (step.ndim - 1) + (-1,)))


def _over_heads(leaf: jax.Array, v: jax.Array) -> jax.Array:
    """(h,) for (..., h, p), in float32 at least."""
    return wide(leaf).reshape((1,) * (v.ndim - 2) + (-1, 1))


def _normed(p: Params, y: jax.Array, *, axes: tuple[int, ...]) -> jax.Array:
    """RMS normalization, of numbers whose squares need not be finite: they are scaled by the greatest first."""
    most = jax.lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(y), axes, keepdims=True), 1.0))
    small = y / most
    small = small * jax.lax.rsqrt(jnp.mean(jnp.square(small), axes, keepdims=True) + 1e-5 / most / most)
    scale = p["norm"].get("scale")
    return small if scale is None else small * wide(scale).reshape((1,) * (y.ndim - scale.ndim) + scale.shape)


def _unit(a: jax.Array) -> jax.Array:
    """Vectors of length 1, or shorter near zero."""
    h = wide(a)
    return (h * jax.lax.rsqrt(jnp.sum(jnp.square(h), -1, keepdims=True) + 1e-6)).astype(a.dtype)


def _out(p: Params, y: jax.Array) -> jax.Array:
    return constrain(linear(p["o"], y, in_axes=2), "time", "embed")
