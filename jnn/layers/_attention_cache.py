"""Causal self-attention of a sequence in pieces: a memory of keys and values goes in and comes out.

    attention_cache(p, length) -> cache                     empty
    cached_attention(p, x, cache) -> (y, cache)             x is the next chunk of a sequence

Axes: `t` queries, `s` keys, `h` heads, `g` key-value heads (h is a multiple of g), `k` head size.

Laws: cut a sequence into chunks anywhere: `cached_attention` over them equals causal `attention` over the whole. With
a window the cache is a ring: position i lives in slot i % length, and what the window has left is written over.
Without one nothing is forgotten: a cache that overflows is an error, and under `jit` NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.layers._attention import Attend, QkNorm, Rotate, extras, project
from jnn.layers._dot_product_attention import dot_product_attention
from jnn.layers._linear import linear
from jnn.layers._masks import check_window, visible
from jnn.layers._norm import rms_norm
from jnn.layers._prefix import behind_prefix
from jnn.layers._quantized_weight import Weight, dequantize_weight, quantize_weight, weight_dtype, weight_shape
from jnn.layers._scores import Bias
from jnn.param import Params

Cache = dict[str, jax.Array]
_KNOWN = "promise_in_bounds"  # a slot always is; where it may not be, XLA writes all of the cache anew


def attention_cache(p: Params, length: int, *, leading: tuple[int, ...] = (), dtype: DTypeLike | None = None) -> Cache:
    """Key-value cache: an empty memory of the last `length` keys and values.

    Args:
      p: the attention's parameters.
      length: of the longest sequence; with a window, at least the window (it is a ring then).
      leading: the leading axes of x.
      dtype: of what is remembered; that of the key weights by default. Of int8 each row and head has a scale.

    Returns:
      {"k": (*leading, length, kv_heads, head), "v": the same, "next": int32 (), the next chunk's first position}; of
      int8 "k_scales" and "v_scales" beside, (*leading, length, kv_heads, 1).

    Raises:
      TypeError, ValueError: p is not an attention's, a size is none, or keys and values would be lost in this dtype.

    >>> from jnn.layers import attention_spec
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_spec(4, 2))
    >>> attention_cache(p, 16, leading=(8,))["k"].shape
    (8, 16, 2, 2)
    """
    rows = rows_of("attention_cache", length, leading)
    return empty_rows("attention_cache", p, rows, dtype) | {"next": jnp.zeros((), jnp.int32)}


def rows_of(layer: str, length: Any, leading: Any) -> tuple[int, ...]:
    """(*leading, length), once these are sizes of axes."""
    if not isinstance(leading, Sequence):
        raise TypeError(f"{layer}: expected the sizes of leading axes, such as (8,), found {leading!r}.")
    for name, size in (*(("each leading axis", size) for size in leading), ("length", length)):
        checks.size(layer, name, size)
    return (*leading, length)


def empty_rows(layer: str, p: Params, rows: tuple[int, ...], dtype: DTypeLike | None) -> Cache:
    """Room for keys and values (*rows, kv_heads, head), and of int8 for their scales."""
    w = key_weight(layer, p)
    check_cache_dtype(layer, dtype, integers=True)
    empty = jnp.zeros((*rows, *weight_shape(w)[-2:]), weight_dtype(w) if dtype is None else dtype)
    scales = jnp.zeros((*empty.shape[:-1], 1), weight_dtype(w))
    more = {"k_scales": scales, "v_scales": scales} if empty.dtype == jnp.int8 else {}
    return {"k": empty, "v": empty, **more}


def check_cache_dtype(layer: str, dtype: DTypeLike | None, *, integers: bool = False) -> None:
    """Raises TypeError for a dtype in which keys and values would be lost."""
    fits = dtype is None or jnp.issubdtype(dtype, jnp.floating) or (integers and jnp.dtype(dtype) == jnp.int8)
    if not fits:
        more = ", or int8" if integers else "; keys and values alone may be int8"
        raise TypeError(f"{layer}: expected a floating-point dtype{more}, found {jnp.dtype(dtype)}.")


def key_weight(layer: str, p: Params) -> Weight:
    """What makes keys of rows: (d, kv_heads, head).

    Raises:
      TypeError, ValueError: p is not an attention's; latent attention (MLA) has a cache of its own.
    """
    checks.params(layer, p, "k")
    if "latent" in p:
        raise ValueError(
            f"{layer}: expected params of attention_spec, found those of latent_attention_spec (MLA). Their cache is "
            "made by latent_cache(p, length), for cached_latent_attention."
        )
    checks.params(layer, p["k"], "w", what="params['k']", adapted=True)
    weight: Weight = p["k"]["w"]
    return weight


def cached_attention(
    p: Params,
    x: jax.Array,
    cache: Cache,
    *,
    window: int | None = None,
    rotate: Rotate | None = None,
    bias: Bias | None = None,
    qk_norm: QkNorm = rms_norm,
    attend: Attend = dot_product_attention,
) -> tuple[jax.Array, Cache]:
    """Cached causal self-attention: of the next chunk of a sequence to itself and to all that the cache remembers.

    A whole prompt is one chunk, a decoding step is a chunk of one row; every cut gives the same rows.

    Args:
      p: as `attention_spec` declares.
      x: (..., t, d), floating point, the rows at positions cache["next"], cache["next"] + 1, ...
      cache: from `attention_cache`, or from the call before; or those of stacked layers, (layers, ...), with this one's
        number beside, {"layer": int32 ()}: a loop over layers that carries them writes the chunk's rows in place.
      window, rotate, qk_norm, attend: as in `attention`.
      bias: a function of positions, as in `attention`.

    Returns:
      (..., t, d) in x's dtype, and the cache with these rows added. Without a window, once a sequence is longer
      than its cache, an error where that is known, and under `jit` NaN: nothing is forgotten in silence.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit, the cache is full, or is shorter than the window.

    >>> from jnn.layers import attention_spec
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_spec(4, 2))
    >>> cache = attention_cache(p, 16)
    >>> y, cache = cached_attention(p, jnp.ones((5, 4)), cache)      # prefill
    >>> y, cache = cached_attention(p, jnp.ones((1, 4)), cache)      # one step
    >>> y.shape, int(cache["next"])
    ((1, 4), 6)
    """
    q, k, v = project("cached_attention", p, x, x, qk_norm)
    _check_cache(x, cache, window)
    t, size, before = q.shape[-3], cache["k"].shape[-3], own_layer(cache)
    positions = before["next"] + jnp.arange(t)
    if rotate is not None:
        q, k = rotate(q, positions), rotate(k, positions)
    kept = as_kept(cache, k=k, v=v)
    new = remember(cache, **kept)
    seen = own_layer(new)
    full = seen["next"] > size
    if window is None or t + window - 1 <= size:
        at = slot_positions(seen)
    else:  # writing first would overwrite what this chunk's first queries still attend to
        seen = {name: jnp.concatenate([before[name], kept[name]], -3) for name in kept}
        at = jnp.concatenate([slot_positions(before), positions])
    mask = visible(positions, at, causal=True, window=window) & (at >= 0)[None, :]
    more = extras(p, None if bias is None else bias(positions, at))
    keys, values = (recalled(seen, name, q.dtype) for name in "kv")
    keys, values, shown = behind_prefix("cached_attention", p, q, keys, values, mask, bias)
    y = linear(p["o"], attend(q, keys, values, shown, **more), in_axes=2)
    return (y if window is not None else jnp.where(full, jnp.nan, y)), new


def as_kept(cache: Cache, **rows: jax.Array) -> Cache:
    """Rows (..., t, g, k) as the cache keeps them: in its dtype, and in 8 bits with scales where it has some."""
    kept: Cache = {}
    for name, x in rows.items():
        if f"{name}_scales" in cache:
            q = quantize_weight(x.astype(cache[f"{name}_scales"].dtype), axis=x.ndim - 1)
            kept |= {name: q["int8"], f"{name}_scales": q["scales"]}
        else:
            kept[name] = x.astype(cache[name].dtype)
    return kept


def recalled(cache: Cache, name: str, dtype: DTypeLike) -> jax.Array:
    """What a cache keeps by a name, in this dtype."""
    if f"{name}_scales" not in cache:
        return cache[name].astype(dtype)
    return dequantize_weight({"int8": cache[name], "scales": cache[f"{name}_scales"]}, dtype)


def remember(cache: Cache, **rows: jax.Array) -> Cache:
    """The cache with a chunk of rows (..., t, g, k) by each name added: position i lives in slot i % length."""
    t, size = next(iter(rows.values())).shape[-3], cache[next(iter(rows))].shape[-3]
    kept = min(t, size)
    slots = (own_layer(cache)["next"] + jnp.arange(t - kept, t)) % size

    def write(old: jax.Array, new: jax.Array) -> jax.Array:
        new = new[..., t - kept :, :, :].astype(old.dtype)
        if "layer" in cache:
            return old.at[cache["layer"], ..., slots, :, :].set(jnp.moveaxis(new, -3, 0), mode=_KNOWN)
        return old.at[..., slots, :, :].set(new, mode=_KNOWN)

    later = cache["next"].at[cache["layer"]].add(t) if "layer" in cache else cache["next"] + t
    return cache | {name: write(cache[name], new) for name, new in rows.items()} | {"next": later}


def own_layer(cache: Cache) -> Cache:
    """A layer's own cache: of stacked ones with a "layer", that one's."""
    if "layer" not in cache:
        return cache
    own = lambda x: jax.lax.dynamic_index_in_dim(x, cache["layer"], keepdims=False)
    return {name: own(cache[name]) for name in cache if name != "layer"}


def slot_positions(cache: Cache, name: str = "k") -> jax.Array:
    """The position that each slot holds; negative where it is still empty."""
    last, size = cache["next"] - 1, cache[name].shape[-3]
    return last - (last - jnp.arange(size)) % size


def _check_cache(x: jax.Array, cache: Cache, window: int | None) -> None:
    checks.params("cached_attention", cache, "k", "v", "next", what="cache")
    check_window("cached_attention", window)
    own = own_layer(cache)
    check_room("cached_attention", x, own, own["k"], window, "attention_cache")


def check_room(layer: str, x: jax.Array, cache: Cache, rows: jax.Array, window: int | None, maker: str) -> None:
    """Raises unless rows (..., length, g, k) of a cache are for x (..., t, d), and have room for them."""
    t, size, position = x.shape[-2], rows.shape[-3], cache["next"]
    if rows.shape[:-3] != x.shape[:-2]:
        raise ValueError(
            f"{layer}: expected a cache with leading axes {x.shape[:-2]} for input {checks.describe(x)}, "
            f"found {rows.shape[:-3]}. Make it by {maker}(p, length, leading={x.shape[:-2]}); of one step, give "
            "x its time axis, too: x[..., None, :]."
        )
    if window is not None and size < window:
        raise ValueError(f"{layer}: a window of {window} needs a cache of that length, found {size}.")
    if window is None and not isinstance(position, jax.core.Tracer) and int(position) + t > size:
        raise ValueError(
            f"{layer}: the cache holds {size} positions, and {t} more do not fit after {int(position)}. "
            "Make a longer one, or give a window."
        )
