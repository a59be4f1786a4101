"""Gated delta net: a memory that decays, and in which a row writes over what its key stood for; in O(t).

    gated_delta_net(p, x) -> (y, carry)         a whole sequence, or its next chunk: gated_delta_net(p, x, carry)

Axes and laws: as `_mamba2`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, lecun_normal, ones
from jnn.layers._linear import linear, linear_spec
from jnn.layers._linear_attention import linear_attention
from jnn.layers._mixer import Mixed, convolved, decays, mixer_spec, normed, read_out
from jnn.param import Param, Params, Spec
from jnn.precision import wide


def gated_delta_net_spec(
    d: int,
    heads: int,
    *,
    head: int,
    states: int,
    groups: int | None = None,
    taps: int = 4,
    init: Init = lecun_normal,
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
    spec = mixer_spec("gated_delta_net_spec", d, heads, groups, states, head, taps, init, dtype)
    beta = linear_spec(d, heads, axes=("embed", "heads"), bias=False, init=init, dtype=dtype)
    return spec | {"beta": beta, "norm": {"scale": Param((head,), ones, ("head",), dtype)}}


def gated_delta_net(p: Params, x: jax.Array, carry: Mixed | None = None, *, chunk: int = 64) -> tuple[jax.Array, Mixed]:
    """Gated delta net: a decaying memory in which a row writes over what its key stood for.

    See "Gated Delta Networks: Improving Mamba2 with Delta Rule", Yang, Kautz and Hatamizadeh, 2024.

    Args:
      p: as `gated_delta_net_spec` declares.
      x, carry, chunk: as in `mamba2`.

    Returns:
      (..., t, d) in x's dtype, and the carry: finite for any x; gradients up to an x of 1e9, beyond which those of
      queries near 0 overflow.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit, or x is empty.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), gated_delta_net_spec(8, 2, head=4, states=4))
    >>> y, carry = gated_delta_net(p, jnp.ones((3, 5, 8)))
    >>> y.shape, carry["state"].shape
    ((3, 5, 8), (3, 2, 4, 4))
    """
    checks.params("gated_delta_net", p, "q", "k", "v", "gate", "beta", "step", "conv", "rate", "norm", "o")
    (q, k, v), past = convolved("gated_delta_net", p, x, carry)
    q, k = _unit(q) * q.shape[-1] ** -0.5, _unit(k)
    _, decay = decays(p, x)
    beta = jax.nn.sigmoid(wide(linear(p["beta"], x)))
    state = None if carry is None else carry["state"]
    y, state = linear_attention(q, k, v, decay, beta, state=state, chunk=chunk)
    y = normed(p, wide(y), axes=(-1,)) * jax.nn.silu(wide(linear(p["gate"], x)))
    return read_out(p, y.astype(x.dtype)), {"state": state, "past": past}


def _unit(a: jax.Array) -> jax.Array:
    """Vectors of length 1, or shorter near zero."""
    h = wide(a)
    most = jax.lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(h), -1, keepdims=True), 1.0))
    small = h / most  # its squares are finite
    return (small * jax.lax.rsqrt(jnp.sum(jnp.square(small), -1, keepdims=True) + 1e-6 / most / most)).astype(a.dtype)
