"""Learned prefixes of attention: keys and values that stand before a sequence's own, iff "prefix" is in p.

    prefix_spec(n, kv_heads, head) -> spec
    behind_prefix(p, q, k, v, mask) -> (k, v, mask)

Law: every query sees all of a prefix, whatever a mask, causality or a window hides; it is not turned by positions.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, normal
from jnn.layers._dot_product_attention import ranked
from jnn.param import Param, Params, Spec
from jnn.precision import wide

SMALL = normal(0.02)


def prefix_spec(n: int, kv_heads: int, head: int, *, init: Init = SMALL, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a prefix of attention: n keys and values.

    See "Prefix-Tuning: Optimizing Continuous Prompts for Generation", Li and Liang, 2021, whose prefixes are made by
    a network while they are trained.

    Args:
      n: how many there are.
      kv_heads, head: as of the attention's keys.
      init: initial values.
      dtype: of both.

    Returns:
      {"k": (n, kv_heads, head), "v": the same}

    >>> prefix_spec(10, 4, 16)["k"].axes
    ('prefix', 'kv_heads', 'head')
    """
    row = Param((n, kv_heads, head), init, ("prefix", "kv_heads", "head"), dtype)
    return {"k": row, "v": row}


def behind_prefix(
    layer: str, p: Params, q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None, bias: Any = None
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Keys and values (..., s, g, k), and a mask of all that is hidden, behind the prefix of p; as they are without."""
    if "prefix" not in p:
        return k, v, mask
    checks.params(layer, p["prefix"], "k", "v", what="params['prefix']")
    if bias is not None:
        raise ValueError(f"{layer}: a prefix has no positions, and so no bias of scores; found both. Leave out one.")
    checks.trailing(f"{layer}: prefix", k, p["prefix"]["k"].shape[1:])
    longer = lambda name, x: jnp.concatenate([_rows(p["prefix"][name], x), x], -3)
    if (seen := ranked(mask, q)) is not None:
        whole = jnp.broadcast_to(seen, (*seen.shape[:-1], k.shape[-3]))
        mask = jnp.concatenate([jnp.ones((*seen.shape[:-1], p["prefix"]["k"].shape[0]), bool), whole], -1)
    return longer("k", k), longer("v", v), mask


def no_prefix(layer: str, p: Params) -> None:
    """Raises ValueError for a prefix that nobody would read."""
    if "prefix" in p:
        raise ValueError(
            f"{layer}: found a 'prefix' in its params, which attention, cached_attention and cross_attention alone "
            "read. Leave it out: prefixes_spec(..., where=...)."
        )


def _rows(prefix: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.broadcast_to(wide(prefix), (*x.shape[:-3], *prefix.shape)).astype(x.dtype)
