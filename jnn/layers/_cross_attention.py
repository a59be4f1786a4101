"""Cross-attention to rows that stay: their keys and values are made once, for any number of queries after.

    cross_cache(p, kv) -> cache
    cross_attention(p, x, cache) -> y

Law: `cross_attention(p, x, cross_cache(p, kv))` is `attention(p, x, kv)`.
"""

from __future__ import annotations

import jax

from jnn import checks
from jnn.axes import constrain
from jnn.layers._attention import Attend, extras, keys_and_values, queries
from jnn.layers._attention_cache import Cache
from jnn.layers._dot_product_attention import dot_product_attention
from jnn.layers._linear import linear
from jnn.layers._masks import check_mask
from jnn.layers._prefix import behind_prefix
from jnn.param import Params


def cross_cache(p: Params, kv: jax.Array) -> Cache:
    """Cache of cross-attention: keys and values of kv.

    Args:
      p: as `attention_spec` declares.
      kv: (..., s, d_kv), floating point.

    Returns:
      {"k": (..., s, kv_heads, head), "v": the same}, in kv's dtype.

    Raises:
      TypeError: kv is not floating point.
      ValueError: shapes do not fit, or kv is empty.

    >>> import jax.numpy as jnp
    >>> from jnn.layers import attention_spec
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_spec(4, 2))
    >>> cross_cache(p, jnp.ones((7, 5, 4)))["k"].shape
    (7, 5, 2, 2)
    """
    k, v = keys_and_values("cross_cache", p, kv)
    return {"k": k, "v": v}


def cross_attention(
    p: Params,
    x: jax.Array,
    cache: Cache,
    *,
    mask: jax.Array | None = None,
    bias: jax.Array | None = None,
    attend: Attend = dot_product_attention,
) -> jax.Array:
    """Cross-attention, multi-head, to keys and values that are made already.

    See "Attention Is All You Need", Vaswani et al., 2017.

    Args:
      p: as `attention_spec` declares.
      x: (..., t, d), floating point: makes the queries.
      cache: from `cross_cache`.
      mask, bias, attend: as in `attention`.

    Returns:
      (..., t, d), in x's dtype.

    Raises:
      TypeError: x is not floating point, or mask is not bool.
      ValueError: shapes do not fit.

    >>> import jax.numpy as jnp
    >>> from jnn.layers import attention_spec
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_spec(4, 2))
    >>> cross_attention(p, jnp.ones((3, 4)), cross_cache(p, jnp.ones((5, 4)))).shape
    (3, 4)
    """
    checks.params("cross_attention", cache, "k", "v", what="cache")
    q = queries("cross_attention", p, x)
    k, v = cache["k"].astype(q.dtype), cache["v"].astype(q.dtype)
    if k.shape[:-3] != x.shape[:-2]:
        raise ValueError(
            f"cross_attention: expected x and the rows of the cache with the same leading axes, found "
            f"{checks.describe(x)} and keys {checks.describe(k)}."
        )
    if mask is not None:
        check_mask("cross_attention", mask, (*x.shape[:-1], k.shape[-3]))
    k, v, mask = behind_prefix("cross_attention", p, q, k, v, mask, bias)
    y = attend(q, k, v, mask, causal=False, window=None, **extras(p, bias))
    return constrain(linear(p["o"], y, in_axes=2), "time", "embed")
