"""The cache of multi-head latent attention: latent vectors and the keys that all heads share, a row for each token.

    latent_cache(p, length) -> cache                            empty
    cached_latent_attention(p, x, cache) -> (y, cache)          x is the next chunk of a sequence

Axes: as in `_latent_attention`. Laws: cut a sequence into chunks anywhere: the cached form over them, which never makes
the heads' keys and values, equals `latent_attention` over the whole. A cache that overflows is an error, and under
`jit` NaN.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.layers._attention import Attend, Rotate
from jnn.layers._attention_cache import Cache, check_cache_dtype, check_room, remember, rows_of, slot_positions
from jnn.layers._dot_product_attention import dot_product_attention
from jnn.layers._latent_attention import check_latent, project
from jnn.layers._linear import linear, merge_weight
from jnn.layers._masks import visible
from jnn.layers._position import rotary
from jnn.layers._quantized_weight import weight_dtype, weight_shape
from jnn.param import Params


def latent_cache(p: Params, length: int, *, leading: tuple[int, ...] = (), dtype: DTypeLike | None = None) -> Cache:
    """Cache of latent attention: an empty memory of `length` latent vectors and shared keys.

    Args:
      p: the attention's parameters.
      length: of the longest sequence.
      leading: the leading axes of x.
      dtype: of what is remembered; that of the weights by default.

    Returns:
      {"latent": (*leading, length, 1, c), "turned": (*leading, length, 1, r), "next": int32 ()}

    >>> from jnn.layers import latent_attention_spec
    >>> from jnn.param import init
    >>> p = init(latent_attention_spec(8, 2, latent=6, head=4, turned=2), jax.random.key(0))
    >>> latent_cache(p, 16, leading=(3,))["latent"].shape
    (3, 16, 1, 6)
    """
    checks.params("latent_cache", p, "latent", "turned")
    check_cache_dtype("latent_cache", dtype)
    rows = rows_of("latent_cache", length, leading)
    empty = {
        name: jnp.zeros((*rows, 1, weight_shape(p[name]["w"])[-1]), dtype or weight_dtype(p[name]["w"]))
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

    >>> from jnn.layers import latent_attention_spec
    >>> from jnn.param import init
    >>> p = init(latent_attention_spec(8, 2, latent=6, head=4, turned=2), jax.random.key(0))
    >>> y, cache = cached_latent_attention(p, jnp.ones((5, 8)), latent_cache(p, 16))
    >>> y.shape, int(cache["next"])
    ((5, 8), 5)
    """
    check_latent("cached_latent_attention", p, x)
    checks.params("cached_latent_attention", cache, "latent", "turned", "next", what="cache")
    positions = cache["next"] + jnp.arange(x.shape[-2])
    plain, turned, latent, shared = project(p, x, rotate, positions)
    check_room("cached_latent_attention", x, cache, cache["latent"], None, "latent_cache")
    new = remember(cache, latent=latent, turned=shared)
    at = slot_positions(new, "latent")
    k_up, v_up = (merge_weight(p[name]).astype(x.dtype) for name in "kv")
    seen = jnp.concatenate([new["latent"], new["turned"]], -1).astype(plain.dtype)
    q = jnp.concatenate([jnp.einsum("...thk,chk->...thc", plain, k_up), turned], -1)
    size = weight_shape(p["q"]["w"])[-1]
    q = q * (q.shape[-1] / size) ** 0.5  # scores are over the root of a head's size, not of c + r
    mask = visible(positions, at, causal=True, window=None) & (at >= 0)[None, :]
    means = attend(q, seen, seen, mask)[..., : latent.shape[-1]]
    y = linear(p["o"], jnp.einsum("...thc,chk->...thk", means, v_up), in_axes=2)
    return jnp.where(new["next"] > seen.shape[-3], jnp.nan, y), new
