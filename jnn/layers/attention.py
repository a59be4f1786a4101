"""Attention: multi-head, grouped-query, cross, causal, sliding-window; and the same with a cache.

    attention(p, x) -> y                             x attends to itself
    attention(p, x, kv) -> y                         x attends to kv
    cached_attention(p, x, cache) -> (y, cache)      x is the next chunk of a sequence, causal
    attend(q, k, v, mask) -> y                       the heart of both, without parameters

Axes: `t` queries, `s` keys, `h` heads, `g` key-value heads (h is a multiple of g), `k` head size.

Laws: how many heads there are is in the shapes of p. Cut a sequence into chunks anywhere: `cached_attention`
over them equals causal `attention` over the whole. Packed rows under `segment_mask` equal the rows alone.
Softmax is in float32; a query that may attend to nothing gets zeros, never NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import backend, checks
from jnn.initializers import Initializer, VarianceScaling, lecun_normal
from jnn.layers.linear import linear, linear_spec
from jnn.param import Params, Spec

Cache = dict[str, jax.Array]
Rotate = Callable[[jax.Array, jax.Array], jax.Array]  # (..., t, h, k), (t,) -> (..., t, h, k); such as `rotary`


def attention_spec(
    d: int,
    heads: int,
    *,
    kv_heads: int | None = None,
    head: int | None = None,
    d_kv: int | None = None,
    bias: bool = True,
    init: Initializer | VarianceScaling = lecun_normal,
    out_init: Initializer | VarianceScaling | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares the four linear maps of attention.

    Args:
      d: the size of the last axis of x, and of the output.
      heads: how many query heads there are.
      kv_heads: how many key and value heads: fewer for grouped queries, 1 for multi-query. As `heads` by default.
      head: the size of a head; d / heads by default.
      d_kv: the size of the last axis of kv, for cross-attention; d by default.
      bias: whether the four maps have biases.
      init: initial values of the query, key and value weights.
      out_init: those of the output weight; `init` by default.
      dtype: of all.

    Returns:
      {"q": {"w": (d, heads, head)}, "k" and "v": {"w": (d_kv, kv_heads, head)}, "o": {"w": (heads, head, d)}},
      each with its "b".

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
    return {
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
) -> jax.Array:
    """Each row of x becomes a mean of values, weighted by how well its query fits their keys.

    See "Attention Is All You Need", Vaswani et al., 2017; for grouped queries "GQA", Ainslie et al., 2023;
    for windows "Longformer", Beltagy et al., 2020.

    Args:
      p: as `attention_spec` declares.
      x: (..., t, d), floating point: makes the queries.
      kv: (..., s, d_kv): makes the keys and values; None for x itself.
      causal: row i attends to rows j <= i alone.
      window: and to rows with |i - j| < window alone.
      mask: bool, (..., t, s) or without the leading axes, True where a query may attend; sizes may be 1.
        See `length_mask` and `segment_mask`; combine them by `&`.
      rotate: turns queries and keys by their positions, such as `rotary`.

    Returns:
      (..., t, d), in x's dtype.

    Raises:
      TypeError: x or kv are not floating point, or mask is not bool.
      ValueError: shapes do not fit; causal, window or rotate with kv, whose rows have no common order with x's.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_spec(4, 2))
    >>> attention(p, jnp.ones((7, 5, 4)), causal=True).shape
    (7, 5, 4)
    """
    _check(p, x, kv)
    _check_window(window)
    if kv is not None and (causal or window is not None or rotate is not None):
        raise ValueError("attention: causal, window and rotate are for self-attention; with kv, give a mask.")
    kv = x if kv is None else kv
    t, s = x.shape[-2], kv.shape[-2]
    q, k, v = linear(p["q"], x), linear(p["k"], kv), linear(p["v"], kv)
    if rotate is not None:
        q, k = rotate(q, jnp.arange(t)), rotate(k, jnp.arange(s))
    if mask is not None:
        _check_mask(mask, (*x.shape[:-1], s))
    if causal or window is not None:
        inside = _visible(jnp.arange(t), jnp.arange(s), causal, window)
        mask = inside if mask is None else mask & inside.reshape((1,) * (mask.ndim - 2) + inside.shape)
    return linear(p["o"], attend(q, k, v, mask), in_axes=2)


def attention_cache(p: Params, length: int, *, leading: tuple[int, ...] = (), dtype: DTypeLike | None = None) -> Cache:
    """An empty memory of the last `length` keys and values.

    Args:
      p: the attention's parameters.
      length: of the longest sequence; with a window, at least the window (it is a ring then).
      leading: the leading axes of x.
      dtype: of what is remembered; that of the key weights by default.

    Returns:
      {"k": (*leading, length, kv_heads, head), "v": the same, "next": int32 (), the next chunk's first position}

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_spec(4, 2))
    >>> attention_cache(p, 16, leading=(8,))["k"].shape
    (8, 16, 2, 2)
    """
    w = p["k"]["w"]
    empty = jnp.zeros((*leading, length, *w.shape[-2:]), w.dtype if dtype is None else dtype)
    return {"k": empty, "v": empty, "next": jnp.zeros((), jnp.int32)}


def cached_attention(
    p: Params, x: jax.Array, cache: Cache, *, window: int | None = None, rotate: Rotate | None = None
) -> tuple[jax.Array, Cache]:
    """Causal self-attention of the next chunk of a sequence to itself and to all that the cache remembers.

    A whole prompt is one chunk, a decoding step is a chunk of one row; every cut gives the same rows.

    Args:
      p: as `attention_spec` declares.
      x: (..., t, d), floating point, the rows at positions cache["next"], cache["next"] + 1, ...
      cache: from `attention_cache`, or from the call before.
      window, rotate: as in `attention`.

    Returns:
      (..., t, d) in x's dtype, and the cache with these rows added. Without a window, once a sequence is longer
      than its cache, an error where that is known, and under `jit` NaN: nothing is forgotten in silence.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit, the cache is full, or is shorter than the window.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_spec(4, 2))
    >>> cache = attention_cache(p, 16)
    >>> y, cache = cached_attention(p, jnp.ones((5, 4)), cache)      # prefill
    >>> y, cache = cached_attention(p, jnp.ones((1, 4)), cache)      # one step
    >>> y.shape, int(cache["next"])
    ((1, 4), 6)
    """
    _check(p, x, None)
    t, size = x.shape[-2], cache["k"].shape[-3]
    _check_cache(x, cache, window)
    positions = cache["next"] + jnp.arange(t)
    q, k, v = linear(p["q"], x), linear(p["k"], x), linear(p["v"], x)
    if rotate is not None:
        q, k = rotate(q, positions), rotate(k, positions)
    new = _remember(cache, k, v)
    if window is None or t + window - 1 <= size:
        seen, at = new, _positions(new)
    else:  # writing first would overwrite what this chunk's first queries still attend to
        seen = {"k": jnp.concatenate([cache["k"], k], -3), "v": jnp.concatenate([cache["v"], v], -3)}
        at = jnp.concatenate([_positions(cache), positions])
    mask = _visible(positions, at, True, window) & (at >= 0)[None, :]
    y = linear(p["o"], attend(q, seen["k"].astype(q.dtype), seen["v"].astype(q.dtype), mask), in_axes=2)
    return (y if window is not None else jnp.where(new["next"] > size, jnp.nan, y)), new


def attend(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """`softmax(q k / sqrt(head)) v`, head by head.

    Args:
      q: (..., t, h, k), floating point.
      k, v: (..., s, g, k), where h is a multiple of g: each key head serves h / g neighbouring query heads.
      mask: bool, (..., t, s) or without the leading axes, True where a query may attend; sizes may be 1.

    Returns:
      (..., t, h, k), in q's dtype; zeros for a query that may attend to nothing.

    >>> attend(jnp.ones((3, 2, 4)), jnp.ones((5, 1, 4)), jnp.ones((5, 1, 4))).shape
    (3, 2, 4)
    """
    if mask is not None:
        mask = mask.reshape((1,) * (q.ndim - 1 - mask.ndim) + mask.shape)
    return (_attend_heads_first if backend.choose("attention") == "heads_first" else _attend_fused)(q, k, v, mask)


def length_mask(lengths: jax.Array, s: int) -> jax.Array:
    """Lets every query attend to the first `lengths` of s keys alone: (...) -> (..., 1, s), for `attention`.

    >>> length_mask(jnp.array([2]), 3).tolist()
    [[[True, True, False]]]
    """
    checks.integers("length_mask", lengths)
    keys = jax.lax.broadcasted_iota(jnp.int32, (*lengths.shape, 1, s), lengths.ndim + 1)
    return keys < lengths[..., None, None]


def segment_mask(segments: jax.Array, kv_segments: jax.Array | None = None) -> jax.Array:
    """Lets queries attend to keys of their own segment alone: (..., t), (..., s) -> (..., t, s), for `attention`.

    >>> segment_mask(jnp.array([0, 0, 1])).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    kv_segments = segments if kv_segments is None else kv_segments
    checks.integers("segment_mask", segments, ndim=1)
    checks.integers("segment_mask", kv_segments, ndim=1)
    return segments[..., :, None] == kv_segments[..., None, :]


def _attend_heads_first(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None) -> jax.Array:
    """With heads before time, so that each head's products are plain matrix products."""
    *leading, t, h, size = q.shape
    s, g = k.shape[-3:-1]
    q = jnp.moveaxis(q.reshape(*leading, t, g, h // g, size), -4, -2).reshape(*leading, g, h // g * t, size)
    k, v = jnp.swapaxes(k, -3, -2), jnp.swapaxes(v, -3, -2)
    exact = jnp.promote_types(q.dtype, jnp.float32)
    scores = jnp.einsum("...tk,...sk->...ts", q * size**-0.5, k, preferred_element_type=exact)
    scores = scores.reshape(*leading, g, h // g, t, s)
    if mask is None:
        weights = jax.nn.softmax(scores)
    else:  # the finite minimum keeps an empty row finite; the second `where` makes it zero
        mask = mask[..., None, None, :, :]
        weights = jnp.where(mask, jax.nn.softmax(jnp.where(mask, scores, -1e30)), 0.0)
    weights = weights.astype(v.dtype).reshape(*leading, g, h // g * t, s)
    y = jnp.einsum("...ts,...sk->...tk", weights, v).reshape(*leading, g, h // g, t, size)
    return jnp.moveaxis(y, -2, -4).reshape(*leading, t, h, size)


def _attend_fused(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None) -> jax.Array:
    """By `jax.nn.dot_product_attention`, which takes one batch axis."""
    flat = lambda a, axes: a.reshape(-1, *a.shape[a.ndim - axes :])
    if mask is None:
        return jax.nn.dot_product_attention(flat(q, 3), flat(k, 3), flat(v, 3)).reshape(q.shape)
    mask = jnp.broadcast_to(mask, (*q.shape[:-3], *mask.shape[-2:]))
    y = jax.nn.dot_product_attention(flat(q, 3), flat(k, 3), flat(v, 3), mask=flat(mask, 2)[:, None])
    return jnp.where(mask.any(-1)[..., None, None], y.reshape(q.shape), 0)


def _visible(queries: jax.Array, keys: jax.Array, causal: bool, window: int | None) -> jax.Array:
    """(t,) and (s,) positions -> (t, s): whether a query may attend to a key."""
    ahead = queries[:, None] - keys[None, :]
    visible = ahead >= 0 if causal else jnp.ones_like(ahead, bool)
    return visible if window is None else visible & (jnp.abs(ahead) < window)


def _remember(cache: Cache, k: jax.Array, v: jax.Array) -> Cache:
    """The cache with a chunk added: position i lives in slot i % length."""
    t, size = k.shape[-3], cache["k"].shape[-3]
    kept = min(t, size)
    slots = (cache["next"] + jnp.arange(t - kept, t)) % size
    write = lambda old, rows: old.at[..., slots, :, :].set(rows[..., t - kept :, :, :].astype(old.dtype))
    return {"k": write(cache["k"], k), "v": write(cache["v"], v), "next": cache["next"] + t}


def _positions(cache: Cache) -> jax.Array:
    """The position that each slot holds; negative where it is still empty."""
    last, size = cache["next"] - 1, cache["k"].shape[-3]
    return last - (last - jnp.arange(size)) % size


def _check(p: Params, x: jax.Array, kv: jax.Array | None) -> None:
    checks.floats("attention", x, ndim=2)
    checks.trailing("attention", x, p["q"]["w"].shape[:1])
    if kv is not None:
        checks.floats("attention: kv", kv, ndim=2)
    checks.trailing("attention: kv", x if kv is None else kv, p["k"]["w"].shape[:1])
    if kv is not None and kv.shape[:-2] != x.shape[:-2]:
        raise ValueError(
            f"attention: expected x and kv with the same leading axes, found {checks.describe(x)} and "
            f"{checks.describe(kv)}."
        )


def _check_window(window: int | None) -> None:
    if window is not None and window < 1:
        raise ValueError(
            f"attention: a window counts the rows that a query may see, itself among them; found {window}."
        )


def _check_mask(mask: jax.Array, want: tuple[int, ...]) -> None:
    """Raises unless mask is bool and of shape `want`, or its last two axes, sizes of 1 aside."""
    if mask.dtype != jnp.bool_:
        raise TypeError(
            f"attention: expected a bool mask, True where a query may attend, found {checks.describe(mask)}."
        )
    fits = mask.ndim in (2, len(want)) and all(m in (1, w) for m, w in zip(mask.shape[::-1], want[::-1], strict=False))
    if not fits:
        raise ValueError(f"attention: expected a mask of {want} or {want[-2:]} (sizes may be 1), found {mask.shape}.")


def _check_cache(x: jax.Array, cache: Cache, window: int | None) -> None:
    t, size, position = x.shape[-2], cache["k"].shape[-3], cache["next"]
    _check_window(window)
    if cache["k"].shape[:-3] != x.shape[:-2]:
        raise ValueError(
            f"cached_attention: expected a cache with leading axes {x.shape[:-2]} for input {checks.describe(x)}, "
            f"found {cache['k'].shape[:-3]}. Make it by attention_cache(p, length, leading={x.shape[:-2]})."
        )
    if window is not None and size < window:
        raise ValueError(f"cached_attention: a window of {window} needs a cache of that length, found {size}.")
    if window is None and not isinstance(position, jax.core.Tracer) and int(position) + t > size:
        raise ValueError(
            f"cached_attention: the cache holds {size} positions, and {t} more do not fit after {int(position)}. "
            "Make a longer one, or give a window."
        )
