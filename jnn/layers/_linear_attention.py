"""Linear attention: a matrix that each row adds to, and each row asks. With decay it is a state space model's duality
(RetNet, Mamba-2), with `beta` the gated delta rule; with a feature map and a sum beside, attention by kernels.

    linear_attention(q, k, v, decay, beta, state=state) -> (y, state)
    kernel_attention(q, k, v, mask, causal=True) -> y                   the signature of `dot_product_attention`

    S[t] = a[t] (S[t-1] - beta[t] k[t] k[t]' S[t-1]) + beta[t] k[t] v[t]',    y[t] = q[t]' S[t]

Axes: `t` time, `h` heads, `n` size of queries and keys, `p` of values; `c` rows of a chunk.

Laws: the state is in float32 at least; cut a sequence into chunks anywhere: chunk after chunk is the whole, row after
row too; the chunks that it computes in change no value; memory is O(t).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from jnn import checks
from jnn.layers._dot_product_attention import check_attention
from jnn.precision import wide, wide_dtype

Features = Callable[[jax.Array], jax.Array]


def linear_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    decay: jax.Array | None = None,
    beta: jax.Array | None = None,
    *,
    state: jax.Array | None = None,
    chunk: int = 64,
) -> tuple[jax.Array, jax.Array]:
    """Linear attention, causal: `S = a S + k v'`, `y = q' S`, row after row, computed chunk by chunk by products.

    See "Transformers are RNNs", Katharopoulos et al., 2020; with decay "Transformers are SSMs: Generalized Models and
    Efficient Algorithms Through Structured State Space Duality", Dao and Gu, 2024; with beta "Gated Delta Networks:
    Improving Mamba2 with Delta Rule", Yang, Kautz and Hatamizadeh, 2024.

    Args:
      q, k: (..., t, h, n), floating point. With beta, keys are to have length 1 at most; others may make it diverge.
      v: (..., t, h, p).
      decay: (..., t, h), `log a`, at most 0, -inf where a row forgets all; 0 by default.
      beta: (..., t, h), in 0..1: how much of what a key stands for is written over; None to add without asking.
      state: (..., h, n, p), from the chunk before; zeros by default.
      chunk: how many rows are computed at a time; of one row it is the recurrence.

    Returns:
      (..., t, h, p) in q's dtype, and the state behind the last row, in float32 at least.

    Raises:
      TypeError: q is not floating point.
      ValueError: shapes do not fit, or are empty.

    >>> ones = jnp.ones((3, 1, 1))
    >>> linear_attention(ones, ones, ones, jnp.log(ones[..., 0] / 2))[0].ravel().tolist()
    [1.0, 1.5, 1.75]
    """
    rates = {"decay": decay, "beta": beta}
    _check(q, k, v, rates, chunk)
    *leading, t, h, n = q.shape
    exact, c = wide_dtype(q), min(chunk, t)
    start = jnp.zeros((*leading, h, n, v.shape[-1]), exact) if state is None else state.astype(exact)
    if start.shape != (*leading, h, n, v.shape[-1]):
        raise ValueError(f"linear_attention: expected a state of {(*leading, h, n, v.shape[-1])}, found {start.shape}.")
    count = -(-t // c)

    def cut(a: jax.Array) -> jax.Array:
        """(..., t, h, *rest) -> (count, ..., h, c, *rest), filled up by rows that change nothing: zeros."""
        axis = len(leading)
        a = jnp.pad(a, [(0, count * c - t if i == axis else 0) for i in range(a.ndim)])
        a = jnp.moveaxis(a.reshape(*leading, count, c, *a.shape[axis + 1 :]), axis, 0)
        return jnp.moveaxis(a, axis + 2, axis + 1)

    parts = {name: cut(a) for name, a in {"q": q, "k": k, "v": v, **rates}.items() if a is not None}
    last, ys = jax.lax.scan(_chunk, start, parts)
    ys = jnp.moveaxis(jnp.moveaxis(ys, 0, len(leading)), -3, -2)
    return ys.reshape(*leading, count * c, h, -1)[..., :t, :, :].astype(q.dtype), last


def _chunk(state: jax.Array, part: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """One chunk: what its rows find in the state, what they find in each other, and what they leave."""
    part = {name: wide(a) for name, a in part.items()}
    q, k, v = part["q"], part["k"], part["v"]
    # logs of decay from each row on; their differences are at most 0, so no exponential grows
    total = jnp.cumsum(_at_least_nothing(part["decay"]), -1) if "decay" in part else jnp.zeros(q.shape[:-1], q.dtype)
    earlier = jnp.tri(q.shape[-2], dtype=bool).reshape((1,) * (q.ndim - 2) + (q.shape[-2],) * 2)
    kept = jnp.exp(jnp.where(earlier, total[..., :, None] - total[..., None, :], -jnp.inf))
    since = jnp.exp(total)[..., None]
    if "beta" in part:  # what a key finds is taken out of what it adds: a triangular system over the chunk
        beta = part["beta"][..., None]
        found = beta * kept * jnp.einsum("...in,...jn->...ij", k, k)
        v = beta * (v - since * jnp.einsum("...in,...np->...ip", k, state))
        v = solve_triangular(found, v, lower=True, unit_diagonal=True)
    y = since * jnp.einsum("...in,...np->...ip", q, state)
    y = y + jnp.einsum("...ij,...jp->...ip", kept * jnp.einsum("...in,...jn->...ij", q, k), v)
    left = jnp.exp(total[..., -1:] - total)[..., None]
    return since[..., -1:, :] * state + jnp.einsum("...jn,...jp->...np", left * k, v), y


def _at_least_nothing(decay: jax.Array) -> jax.Array:
    """Logs of decay, none of them below the first whose exponential is 0: of -inf no difference would be known."""
    return jnp.maximum(decay, np.log(jnp.finfo(decay.dtype).smallest_subnormal) - 1)


def kernel_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array | None = None,
    *,
    causal: bool = False,
    window: int | None = None,
    features: Features = lambda a: jax.nn.elu(a) + 1,
) -> jax.Array:
    """Kernel attention: means of values weighted by `features(q) features(k)`, in O(t), for `attention`'s `attend`.

    See "Transformers are RNNs: Fast Autoregressive Transformers with Linear Attention", Katharopoulos et al., 2020.

    Args:
      q, k, v, causal: as in `dot_product_attention`; as many queries as keys where it is causal.
      mask: (..., 1, s): which keys there are. Which query sees which key cannot be said.
      window: None.
      features: makes positive numbers of the last axis; elu + 1 by default.

    Returns:
      (..., t, h, k), in q's dtype; zeros for a query that may attend to nothing.

    Raises:
      TypeError: q, k, v are not floating point, or mask is not bool.
      ValueError: shapes do not fit; a window, or a mask of pairs.

    >>> kernel_attention(jnp.ones((3, 2, 4)), jnp.ones((5, 1, 4)), jnp.ones((5, 1, 4)))[0, 0].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    check_attention("kernel_attention", q, k, v, mask, window)
    if window is not None or (mask is not None and mask.shape[-2] != 1):
        raise ValueError("kernel_attention: found a window or a mask of pairs; it takes a mask of keys, (..., 1, s).")
    q, k, v = _featured(q, k, v, features)
    if mask is not None:
        k = jnp.where(jnp.broadcast_to(jnp.swapaxes(mask, -1, -2)[..., None], k.shape), k, 0)
    if causal:
        if q.shape[-3] != k.shape[-3]:
            raise ValueError(f"kernel_attention: causal, found {q.shape[-3]} queries and {k.shape[-3]} keys.")
        return _mean(linear_attention(wide(q), k, v)[0], v.shape[-1] - 1).astype(q.dtype)
    state = jnp.einsum("...shn,...shp->...hnp", wide(k), wide(v))
    return _mean(jnp.einsum("...thn,...hnp->...thp", wide(q), state), v.shape[-1] - 1).astype(q.dtype)


def recurrent_kernel_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    state: jax.Array | None,
    *,
    features: Features = lambda a: jax.nn.elu(a) + 1,
) -> tuple[jax.Array, jax.Array]:
    """Kernel attention, causal, of the next chunk of a sequence; the state as in `linear_attention`, None for none.

    >>> one = jnp.ones((1, 2, 4))
    >>> y, state = recurrent_kernel_attention(one, one, one, None)
    >>> y.shape, state.shape
    ((1, 2, 4), (2, 4, 5))
    """
    check_attention("recurrent_kernel_attention", q, k, v, None, None)
    q, k, v = _featured(q, k, v, features)
    y, state = linear_attention(wide(q), k, v, state=state)
    return _mean(y, v.shape[-1] - 1).astype(q.dtype), state


def _featured(q: jax.Array, k: jax.Array, v: jax.Array, features: Features) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Features of queries and keys, and values beside a one; as many heads of each."""
    k, v = (jnp.repeat(a, q.shape[-2] // a.shape[-2], -2) for a in (k, v))
    return features(q), features(k), jnp.concatenate([v, jnp.ones_like(v[..., :1])], -1)


def _mean(sums: jax.Array, size: int) -> jax.Array:
    """Sums of values over the sum of weights, which is last."""
    total = sums[..., size:]
    return sums[..., :size] / jnp.where(total == 0, 1, total)


def _check(q: jax.Array, k: jax.Array, v: jax.Array, rates: dict[str, jax.Array | None], chunk: int) -> None:
    for name, a in (("q", q), ("k", k), ("v", v)):
        checks.floats(f"linear_attention: {name}", a, ndim=3)
    if q.shape != k.shape or v.shape[:-1] != q.shape[:-1]:
        found = ", ".join(map(checks.describe, (q, k, v)))
        raise ValueError(
            f"linear_attention: expected q and k (..., t, heads, n), and v (..., t, heads, p), found {found}."
        )
    for name, rate in rates.items():
        if rate is not None and rate.shape != q.shape[:-1]:
            raise ValueError(f"linear_attention: expected {name} {q.shape[:-1]}, found {checks.describe(rate)}.")
    if chunk < 1:
        raise ValueError(f"linear_attention: expected a positive chunk of rows, found {chunk}.")
