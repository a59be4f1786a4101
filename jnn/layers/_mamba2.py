"""Mamba-2: a sequence mixed by a matrix that decays, in O(t); how fast, and what is added, hangs on the input.

    mamba2(p, x) -> (y, carry)                  a whole sequence, or its next chunk: mamba2(p, x, carry)

Axes: `t` time, `d` embed, `h` heads, `g` groups of heads that share queries and keys (h is a multiple of g), `n` size
of these (the state), `p` size of a head.

Laws: cut a sequence into chunks anywhere: chunk after chunk is the whole; decays are in float32 at least.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, lecun_normal, ones
from jnn.layers._linear import linear
from jnn.layers._linear_attention import linear_attention
from jnn.layers._mixer import Mixed, convolved, decays, mixer_spec, normed, read_out
from jnn.param import Param, Params, Spec
from jnn.precision import wide


def mamba2_spec(
    d: int,
    heads: int,
    *,
    head: int,
    states: int,
    groups: int = 1,
    taps: int = 4,
    conv_bias: bool = False,
    init: Init = lecun_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a Mamba-2 layer.

    Args:
      d: the size of the last axis of x, and of the output.
      heads, head: how many there are, and their size; the paper has heads * head = 2 d.
      states: the size of queries and keys.
      groups: how many of these there are, shared by heads / groups neighbouring heads.
      taps: of the short convolutions.
      conv_bias: whether these have biases; published models have.
      init: initial values of the linear maps.
      dtype: of all.

    Returns:
      {"q", "k": {"w": (d, g, n)}, "v", "gate": {"w": (d, h, p)}, "step": {"w": (d, h), "b": (h,)}, "conv": {"q", "k":
      (taps, g, n), "v": (taps, h, p)}, "rate": (h,), "skip": (h,), "norm": {"scale": (h, p)}, "o": {"w": (h, p, d)}};
      with biases "conv_bias": {"q", "k", "v"}. The paper's B, C and x are k, q and v.

    Raises:
      ValueError: groups do not divide heads.

    >>> mamba2_spec(64, 8, head=16, states=32)["k"]["w"].shape
    (64, 1, 32)
    """
    spec = mixer_spec("mamba2_spec", d, heads, groups, states, head, taps, init, dtype, conv_bias)
    return spec | {"skip": Param((heads,), ones, ("heads",), dtype)}


def mamba2(
    p: Params, x: jax.Array, carry: Mixed | None = None, *, chunk: int = 64, norm_groups: int = 1
) -> tuple[jax.Array, Mixed]:
    """Mamba-2: a state space whose decay and step hang on the input, `S = exp(step * -rate) S + step k v'`.

    See "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality",
    Dao and Gu, 2024.

    Args:
      p: as `mamba2_spec` declares.
      x: (..., t, d), floating point: the next chunk of a sequence.
      carry: from the chunk before; None at the start.
      chunk: as in `linear_attention`.
      norm_groups: in how many groups of heads the output is normalized; published models have one for each of q's.

    Returns:
      (..., t, d) in x's dtype, and the carry: {"state": (..., h, n, p), "past": what the convolutions have seen}. A
      state is of x cubed, and what is normalized of its fifth power: finite, gradients included, up to an x of 1e7.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit, or x is empty.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), mamba2_spec(8, 2, head=8, states=4))
    >>> y, carry = mamba2(p, jnp.ones((3, 5, 8)))
    >>> y.shape, carry["state"].shape
    ((3, 5, 8), (3, 2, 4, 8))
    """
    checks.params("mamba2", p, "q", "k", "v", "gate", "step", "conv", "rate", "skip", "norm", "o", may=("conv_bias",))
    (q, k, v), past = convolved("mamba2", p, x, carry)
    step, decay = decays(p, x)
    added = (wide(v) * step[..., None]).astype(v.dtype)
    y, state = linear_attention(q, k, added, decay, state=None if carry is None else carry["state"], chunk=chunk)
    y = wide(y) + _over_heads(p["skip"], v) * wide(v)
    y = normed(p, y * jax.nn.silu(wide(linear(p["gate"], x))), axes=(-2, -1), groups=norm_groups)
    return read_out(p, y.astype(x.dtype)), {"state": state, "past": past}


def _over_heads(leaf: jax.Array, v: jax.Array) -> jax.Array:
    """(h,) for (..., h, p), in float32 at least."""
    return wide(leaf).reshape((1,) * (v.ndim - 2) + (-1, 1))
