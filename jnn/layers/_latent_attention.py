"""Multi-head latent attention (MLA): keys and values of all heads are made of one small vector a row, which is cached.

    latent_attention(p, x, causal=True, rotate=rotary) -> y
    latent_cache(p, length) -> cache                            empty
    cached_latent_attention(p, x, cache) -> (y, cache)          x is the next chunk of a sequence

Axes: `t` queries, `s` keys, `h` heads, `c` the latent vector, `k` the part of a head that positions do not turn, `r`
the part that they turn, whose key all heads share.

Laws: cut a sequence into chunks anywhere: the cached form over them, which never makes the heads' keys and values,
equals `latent_attention` over the whole. A cache that overflows is an error, and under `jit` NaN.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain
from jnn.initializers import Init, lecun_normal
from jnn.layers._attention import Attend, Rotate
from jnn.layers._attention_cache import Cache, check_cache_dtype, check_room, remember, slot_positions
from jnn.layers._dot_product_attention import dot_product_attention
from jnn.layers._linear import linear, linear_spec, merge_weight
from jnn.layers._masks import check_mask, visible
from jnn.layers._norm import rms_norm, rms_norm_spec
from jnn.layers._position import rotary
from jnn.layers._prefix import no_prefix
from jnn.layers._quantized_weight import weight_dtype, weight_shape
from jnn.param import Params, Spec


def latent_attention_spec(
    d: int,
    heads: int,
    *,
    latent: int,
    head: int,
    turned: int,
    value: int | None = None,
    q_latent: int | None = None,
    init: Init = lecun_normal,
    out_init: Init | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares multi-head latent attention, without biases.

    Args:
      d: the size of the last axis of x, and of the output.
      heads: how many there are.
      latent: the size of the vector that keys and values are made of.
      head: the part of a query or key that positions do not turn.
      turned: the part that they turn; even.
      value: the size of a value; `head` by default.
      q_latent: the size of a vector that queries are made of; None to make them of x.
      init: initial values of all weights but the output's.
      out_init: those of the output weight; `init` by default.
      dtype: of all.

    Returns:
      {"q": {"w": (d, heads, head + turned)}, "latent": {"w": (d, latent)}, "turned": {"w": (d, turned)},
      "norm": {"scale": (latent,)}, "k": {"w": (latent, heads, head)}, "v": {"w": (latent, heads, value)},
      "o": {"w": (heads, value, d)}}; with q_latent, "q" is of it, and there are "q_latent" and "q_norm".

    Raises:
      ValueError: values are larger than queries.

    >>> sorted(latent_attention_spec(64, 4, latent=16, head=8, turned=4))
    ['k', 'latent', 'norm', 'o', 'q', 'turned', 'v']
    """
    value = head if value is None else value
    if value > head + turned:
        raise ValueError(f"latent_attention_spec: expected values of {head + turned} or less, found {value}.")

    def of(d_in: int, d_out: int | tuple[int, ...], *axes: str) -> Spec:
        return linear_spec(d_in, d_out, axes=axes, bias=False, init=init, dtype=dtype)

    low = {} if q_latent is None else {"q_latent": of(d, q_latent, "embed", "latent")}
    return {
        **low,
        **({"q_norm": rms_norm_spec(q_latent, axis="latent", dtype=dtype)} if q_latent is not None else {}),
        "q": of(q_latent or d, (heads, head + turned), "latent" if low else "embed", "heads", "head"),
        "latent": of(d, latent, "embed", "latent"),
        "norm": rms_norm_spec(latent, axis="latent", dtype=dtype),
        "turned": of(d, turned, "embed", "head"),
        "k": of(latent, (heads, head), "latent", "heads", "head"),
        "v": of(latent, (heads, value), "latent", "heads", "head"),
        "o": linear_spec(
            (heads, value), d, axes=("heads", "head", "embed"), bias=False, init=out_init or init, dtype=dtype
        ),
    }


def latent_attention(
    p: Params,
    x: jax.Array,
    *,
    causal: bool = False,
    mask: jax.Array | None = None,
    rotate: Rotate = rotary,
    attend: Attend = dot_product_attention,
) -> jax.Array:
    """Multi-head latent attention (MLA): of rows to each other.

    See "DeepSeek-V2: A Strong, Economical, and Efficient Mixture-of-Experts Language Model", DeepSeek-AI, 2024.

    Args:
      p: as `latent_attention_spec` declares.
      x: (..., t, d), floating point.
      causal, mask, attend: as in `attention`.
      rotate: turns a part of each query, and the key that all heads share, by their positions.

    Returns:
      (..., t, d), in x's dtype.

    Raises:
      TypeError: x is not floating point, or mask is not bool.
      ValueError: shapes do not fit.

    >>> from jnn.param import init
    >>> p = init(latent_attention_spec(8, 2, latent=6, head=4, turned=2), jax.random.key(0))
    >>> latent_attention(p, jnp.ones((7, 5, 8)), causal=True).shape
    (7, 5, 8)
    """
    _check("latent_attention", p, x)
    if mask is not None:
        check_mask("latent_attention", mask, (*x.shape[:-1], x.shape[-2]))
    plain, turned, latent, shared = _project(p, x, rotate, jnp.arange(x.shape[-2]))
    rows = latent[..., 0, :]
    k, v = linear(p["k"], rows), linear(p["v"], rows)
    k = jnp.concatenate([k, jnp.broadcast_to(shared, (*k.shape[:-1], shared.shape[-1]))], -1)
    q, size = jnp.concatenate([plain, turned], -1), v.shape[-1]
    v = jnp.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, k.shape[-1] - size)])  # kernels take one size
    y = attend(q, k, v, mask, causal=causal, window=None)[..., :size]
    return constrain(linear(p["o"], y, in_axes=2), "time", "embed")


def latent_cache(p: Params, length: int, *, leading: tuple[int, ...] = (), dtype: DTypeLike | None = None) -> Cache:
    """Cache of latent attention: an empty memory of `length` latent vectors and shared keys.

    Args:
      p: the attention's parameters.
      length: of the longest sequence.
      leading: the leading axes of x.
      dtype: of what is remembered; that of the weights by default.

    Returns:
      {"latent": (*leading, length, 1, c), "turned": (*leading, length, 1, r), "next": int32 ()}

    >>> from jnn.param import init
    >>> p = init(latent_attention_spec(8, 2, latent=6, head=4, turned=2), jax.random.key(0))
    >>> latent_cache(p, 16, leading=(3,))["latent"].shape
    (3, 16, 1, 6)
    """
    checks.params("latent_cache", p, "latent", "turned")
    check_cache_dtype("latent_cache", dtype)
    empty = {
        name: jnp.zeros((*leading, length, 1, weight_shape(p[name]["w"])[-1]), dtype or weight_dtype(p[name]["w"]))
        for name in ("latent", "turned")
    }
    return empty | {"next": jnp.zeros((), jnp.int32)}


def cached_latent_attention(
    p: Params, x: jax.Array, cache: Cache, *, rotate: Rotate = rotary, attend: Attend = dot_product_attention
) -> tuple[jax.Array, Cache]:
    """Cached latent attention, causal: of the next chunk of a sequence to itself and to all that the cache remembers.

    Queries meet latent vectors: the map that makes keys of these is applied to the queries, and the one that makes
    values to their means ("absorbed").

    Args:
      p: as `latent_attention_spec` declares.
      x: (..., t, d), floating point, the rows at positions cache["next"], cache["next"] + 1, ...
      cache: from `latent_cache`, or from the call before.
      rotate, attend: as in `latent_attention`.

    Returns:
      (..., t, d) in x's dtype, and the cache with these rows added; NaN under `jit` once it is full.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit, or the cache is full.

    >>> from jnn.param import init
    >>> p = init(latent_attention_spec(8, 2, latent=6, head=4, turned=2), jax.random.key(0))
    >>> y, cache = cached_latent_attention(p, jnp.ones((5, 8)), latent_cache(p, 16))
    >>> y.shape, int(cache["next"])
    ((5, 8), 5)
    """
    _check("cached_latent_attention", p, x)
    checks.params("cached_latent_attention", cache, "latent", "turned", "next", what="cache")
    positions = cache["next"] + jnp.arange(x.shape[-2])
    plain, turned, latent, shared = _project(p, x, rotate, positions)
    check_room("cached_latent_attention", x, cache, cache["latent"], None, "latent_cache")
    new = remember(cache, latent=latent, turned=shared)
    at = slot_positions(new, "latent")
    k_up, v_up = (merge_weight(p[name]).astype(x.dtype) for name in "kv")
    seen = jnp.concatenate([new["latent"], new["turned"]], -1).astype(plain.dtype)
    q = jnp.concatenate([jnp.einsum("...thk,chk->...thc", plain, k_up), turned], -1)
    q = (
        q * (q.shape[-1] / weight_shape(p["q"]["w"])[-1]) ** 0.5
    )  # scores are over the root of a head's size, not of c + r
    mask = visible(positions, at, causal=True, window=None) & (at >= 0)[None, :]
    means = attend(q, seen, seen, mask)[..., : latent.shape[-1]]
    y = linear(p["o"], jnp.einsum("...thc,chk->...thk", means, v_up), in_axes=2)
    return jnp.where(new["next"] > seen.shape[-3], jnp.nan, y), new


def _check(layer: str, p: Params, x: jax.Array) -> None:
    checks.params(layer, p, "q", "latent", "turned", "norm", "k", "v", "o", may=("q_latent", "q_norm"))
    no_prefix(layer, p)
    checks.map_parts(layer, p, "q", "latent", "turned", "k", "v", "o")
    checks.floats(layer, x, ndim=2)
    checks.trailing(layer, x, weight_shape(p["latent"]["w"])[:1])


def _project(
    p: Params, x: jax.Array, rotate: Rotate, positions: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Queries (..., t, h, k) and (..., t, h, r), latent vectors (..., t, 1, c), and shared keys (..., t, 1, r)."""
    of = rms_norm(p["q_norm"], linear(p["q_latent"], x)) if "q_latent" in p else x
    q = constrain(linear(p["q"], of), "time", "heads", "head")
    plain, turned = jnp.split(q, [weight_shape(p["k"]["w"])[-1]], -1)
    latent = rms_norm(p["norm"], linear(p["latent"], x))[..., None, :]
    shared = linear(p["turned"], x)[..., None, :]
    return plain, rotate(turned, positions), latent, rotate(shared, positions)
