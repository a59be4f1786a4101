"""Attention: multi-head, grouped-query, cross, causal, sliding-window. (A sequence in pieces: `_attention_cache`.)

    attention(p, x) -> y                             x attends to itself
    attention(p, x, kv) -> y                         x attends to kv

Axes: `t` queries, `s` keys, `h` heads, `g` key-value heads (h is a multiple of g), `k` head size.

Laws: how many heads there are is in the shapes of p, and norms, sinks and a prefix are used iff they are in it. With
`causal`, row i depends on rows j <= i alone; packed rows under `segment_mask` equal the rows alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from jnn import checks, flop_marks
from jnn.axes import constrain
from jnn.initializers import Init, lecun_normal, zeros
from jnn.layers._dot_product_attention import dot_product_attention, ranked
from jnn.layers._linear import linear, linear_spec
from jnn.layers._masks import check_mask, check_window, within
from jnn.layers._norm import rms_norm, rms_norm_spec
from jnn.layers._prefix import behind_prefix
from jnn.layers._quantized_weight import weight_shape
from jnn.layers._scores import Bias
from jnn.param import Param, Params, Spec

Attend = Callable[..., jax.Array]  # the signature of `dot_product_attention`, or a part of it
Rotate = Callable[[jax.Array, jax.Array], jax.Array]  # (..., t, h, k), (t,) -> (..., t, h, k); such as `rotary`
QkNorm = Callable[..., jax.Array]  # the signature of `rms_norm`, or a part of it


def attention_spec(
    d: int,
    heads: int,
    *,
    kv_heads: int | None = None,
    head: int | None = None,
    d_kv: int | None = None,
    bias: bool = True,
    qk_norm: bool | Literal["across"] = False,
    sinks: bool = False,
    init: Init = lecun_normal,
    out_init: Init | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares multi-head attention: its four linear maps.

    Args:
      d: the size of the last axis of x, and of the output.
      heads: how many query heads there are.
      kv_heads: how many key and value heads: fewer for grouped queries, 1 for multi-query. As `heads` by default.
      head: the size of a head; d / heads by default.
      d_kv: the size of the last axis of kv, for cross-attention; d by default.
      bias: whether the four maps have biases.
      qk_norm: whether queries and keys are normalized head by head, by `rms_norm` ("Scaling Vision Transformers to 22
        Billion Parameters", Dehghani et al., 2023); or "across" all heads at once ("OLMoE", Muennighoff et al., 2024).
      sinks: whether each head has a learned score of a key without value, initially 0.
      init: initial values of the query, key and value weights.
      out_init: those of the output weight; `init` by default.
      dtype: of all.

    Returns:
      {"q": {"w": (d, heads, head)}, "k" and "v": {"w": (d_kv, kv_heads, head)}, "o": {"w": (heads, head, d)}},
      each with its "b"; "q_norm" and "k_norm": {"scale": (head,)}, across heads (heads, head) and (kv_heads, head);
      "sinks": (heads,).

    Raises:
      ValueError: heads do not divide d and no head size is given, or kv_heads do not divide heads.

    >>> attention_spec(64, 8, kv_heads=2)["k"]["w"].shape
    (64, 2, 8)
    """
    groups = heads if kv_heads is None else kv_heads
    if head is None and d % heads:
        raise ValueError(f"attention_spec: {heads} heads do not divide d={d}; give the size of a head.")
    if heads % groups:
        raise ValueError(f"attention_spec: {groups} kv_heads do not divide {heads} heads.")
    size, d_kv = d // heads if head is None else head, d if d_kv is None else d_kv

    def inward(d_in: int, count: int, name: str) -> Spec:
        return linear_spec(d_in, (count, size), axes=("embed", name, "head"), bias=bias, init=init, dtype=dtype)

    out_axes = ("heads", "head", "embed")
    norm = lambda count, name: (
        rms_norm_spec((count, size), axis=(name, "head"), dtype=dtype)
        if qk_norm == "across"
        else rms_norm_spec(size, axis="head", dtype=dtype)
    )
    norms = {"q_norm": norm(heads, "heads"), "k_norm": norm(groups, "kv_heads")} if qk_norm else {}
    return {
        **norms,
        **({"sinks": Param((heads,), zeros, ("heads",), dtype)} if sinks else {}),
        "q": inward(d, heads, "heads"),
        "k": inward(d_kv, groups, "kv_heads"),
        "v": inward(d_kv, groups, "kv_heads"),
        "o": linear_spec((heads, size), d, axes=out_axes, bias=bias, init=out_init or init, dtype=dtype),
    }


def attention(
    p: Params,
    x: jax.Array,
    kv: jax.Array | None = None,
    *,
    causal: bool = False,
    window: int | None = None,
    mask: jax.Array | None = None,
    rotate: Rotate | None = None,
    bias: jax.Array | Bias | None = None,
    qk_norm: QkNorm = rms_norm,
    attend: Attend = dot_product_attention,
) -> jax.Array:
    """Multi-head attention: each row of x becomes a mean of values, weighted by how its query fits their keys.

    See "Attention Is All You Need", Vaswani et al., 2017; for grouped queries "GQA", Ainslie et al., 2023;
    for windows "Longformer", Beltagy et al., 2020.

    Args:
      p: as `attention_spec` declares; a "prefix" beside, of `prefix_spec`, is seen by all queries.
      x: (..., t, d), floating point: makes the queries.
      kv: (..., s, d_kv): makes the keys and values; None for x itself.
      causal: row i attends to rows j <= i alone.
      window: and to rows with |i - j| < window alone.
      mask: bool, (..., t, s) or without the leading axes, True where a query may attend; sizes may be 1.
        See `length_mask` and `segment_mask`; combine them by `&`.
      rotate: turns queries and keys by their positions, such as `rotary`.
      bias: added to the scores, as in `dot_product_attention`, such as `alibi(heads)`.
      qk_norm: normalizes queries and keys where p has norms of them: `rms_norm`, or `partial(rms_norm, epsilon=1e-5)`.
      attend: what computes it: `chunked_attention`, or a part of one with a cap or dropout, such as
        `partial(dot_product_attention, rate=0.1, key=key)`.

    Returns:
      (..., t, d), in x's dtype.

    Raises:
      TypeError: x or kv are not floating point, or mask is not bool.
      ValueError: shapes do not fit; causal, window or rotate with kv, whose rows have no common order with x's.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_spec(4, 2))
    >>> attention(p, jnp.ones((7, 5, 4)), causal=True).shape
    (7, 5, 4)
    """
    check_window("attention", window)
    if kv is not None and (causal or window is not None or rotate is not None):
        raise ValueError("attention: causal, window and rotate are for self-attention; with kv, give a mask.")
    q, k, v = project("attention", p, x, x if kv is None else kv, qk_norm)
    t, s = q.shape[-3], k.shape[-3]
    if rotate is not None:
        q, k = rotate(q, jnp.arange(t)), rotate(k, jnp.arange(s))
    if mask is not None:
        check_mask("attention", mask, (*x.shape[:-1], s))
    seen, all_of = pairs(t, s, causal=causal, window=window), t * s
    if "prefix" in p:
        mask, causal, window = within(ranked(mask, q), q, k, causal=causal, window=window), False, None
        k, v, mask = behind_prefix("attention", p, q, k, v, mask, bias)
        seen, all_of = (count + t * (k.shape[-3] - s) for count in (seen, all_of))
    with flop_marks.pairs(seen, all_of):
        y = attend(q, k, v, mask, causal=causal, window=window, **extras(p, bias))
    return constrain(linear(p["o"], y, in_axes=2), "time", "embed")


def extras(p: Params, bias: jax.Array | Bias | None) -> dict[str, Any]:
    """What `attend` is given beside, where there is something."""
    return ({} if bias is None else {"bias": bias}) | ({"sinks": p["sinks"]} if "sinks" in p else {})


def pairs(t: int, s: int, *, causal: bool, window: int | None) -> int:
    """Attended pairs: how many pairs of query and key causality and a window leave.

    >>> pairs(3, 3, causal=True, window=None), pairs(3, 3, causal=True, window=2)
    (6, 5)
    """
    if not causal and window is None:
        return t * s
    wide = t if window is None else jax.core.min_dim(window, t)  # t may be symbolic
    back = wide * (wide + 1) // 2 + (t - wide) * wide  # with |i - j| < window and j <= i
    return back if causal else 2 * back - t


def project(
    layer: str, p: Params, x: jax.Array, kv: jax.Array, norm: QkNorm = rms_norm
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Queries of x (..., t, h, k), keys and values of kv (..., s, g, k), once both are known to fit p."""
    q = queries(layer, p, x, norm)
    if kv is not x and kv.shape[:-2] != x.shape[:-2]:
        raise ValueError(
            f"{layer}: expected x and kv with the same leading axes, found {checks.describe(x)} and "
            f"{checks.describe(kv)}."
        )
    return q, *keys_and_values(layer, p, kv, norm)


def queries(layer: str, p: Params, x: jax.Array, norm: QkNorm = rms_norm) -> jax.Array:
    """Queries of x, (..., t, h, k), normalized iff p has a norm."""
    checks.maps(layer, p, "q", "k", "v", "o", may=("q_norm", "k_norm", "sinks", "prefix"))
    checks.floats(layer, x, ndim=2)
    checks.trailing(layer, x, weight_shape(p["q"]["w"])[:1])
    q = linear(p["q"], x)
    q = _normed(p["q_norm"], q, norm) if "q_norm" in p else q
    return checkpoint_name(constrain(q, "time", "heads", "head"), "query")


def keys_and_values(layer: str, p: Params, kv: jax.Array, norm: QkNorm = rms_norm) -> tuple[jax.Array, jax.Array]:
    """Keys, normalized iff p has a norm, and values of kv, (..., s, g, k)."""
    checks.params(layer, p, "k", "v", may=("k_norm",))
    checks.map_parts(layer, p, "k", "v")
    checks.floats(f"{layer}: kv", kv, ndim=2)
    checks.trailing(f"{layer}: kv", kv, weight_shape(p["k"]["w"])[:1])
    k, v = linear(p["k"], kv), linear(p["v"], kv)
    k = _normed(p["k_norm"], k, norm) if "k_norm" in p else k
    k, v = (constrain(a, "time", "kv_heads", "head") for a in (k, v))
    return checkpoint_name(k, "key"), checkpoint_name(v, "value")


def _normed(p: Params, x: jax.Array, norm: QkNorm) -> jax.Array:
    """Queries or keys (..., h, k), head by head; across heads iff the scale is of all of them."""
    across = any(leaf.ndim == 2 for leaf in p.values())
    return norm(p, x, in_axes=2) if across else norm(p, x)
