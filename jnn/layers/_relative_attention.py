"""Relative attention: how well a query fits a key hangs on how far back that is, too, by a key for each distance.

    attention(p, x, causal=True, attend=partial(relative_attention, p["relative"]))

Axes: `t` queries, `s` keys, `h` heads, `k` head size.

Laws: row i depends on rows j <= i alone, and on their distances, not on where they are; a table of zeros is
`dot_product_attention`; scores by distance are t by t for each head, never t by t by k.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init
from jnn.layers._dot_product_attention import dot_product_attention
from jnn.layers._embed import SMALL
from jnn.param import Param, Spec
from jnn.precision import take, wide_dtype


def relative_attention_spec(
    heads: int, head: int, distances: int, *, init: Init = SMALL, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares relative attention: a key for each distance and head.

    Args:
      heads: how many there are.
      head: the size of one.
      distances: how many are told apart: 0 to one less, which stands for all beyond.
      init: initial values.
      dtype: of the table.

    Returns:
      {"table": (distances, heads, head)}

    >>> relative_attention_spec(8, 16, 128)["table"].shape
    (128, 8, 16)
    """
    return {"table": Param((distances, heads, head), init, ("position", "heads", "head"), dtype)}


def relative_attention(
    p: dict[str, jax.Array],
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array | None = None,
    *,
    causal: bool = False,
    window: int | None = None,
    **how: Any,
) -> jax.Array:
    """Relative attention, causal: `softmax((q k + q r) / sqrt(head)) v`, where r is the learned key of the distance.

    See "Music Transformer: Generating Music with Long-Term Structure", Huang et al., 2018, whose skewing keeps the
    memory at t by t; and "Self-Attention with Relative Position Representations", Shaw, Uszkoreit and Vaswani, 2018.

    Args:
      p: {"table": (distances, h, k)}.
      q, k, v, mask, window: as in `dot_product_attention`, of one sequence: as many queries as keys.
      causal: has to be True: keys ahead have no distance.
      how: rate, key, sinks and cap, as in `dot_product_attention`.

    Returns:
      (..., t, h, k), in q's dtype.

    Raises:
      ValueError: not causal, other numbers of queries than keys, a bias beside, or a table of other heads.

    >>> p = {"table": jnp.zeros((4, 2, 3))}
    >>> relative_attention(p, *[jnp.ones((7, 5, 2, 3))] * 3, causal=True).shape
    (7, 5, 2, 3)
    """
    checks.params("relative_attention", p, "table")
    if not causal or q.shape[-3] != k.shape[-3] or "bias" in how:
        raise ValueError(
            "relative_attention: expected causal=True, as many queries as keys, and no bias beside; found "
            f"causal={causal}, {q.shape[-3]} and {k.shape[-3]}{', a bias' if 'bias' in how else ''}."
        )
    if p["table"].shape[1:] != q.shape[-2:]:
        raise ValueError(
            f"relative_attention: expected a table (distances, {q.shape[-2]}, {q.shape[-1]}), found "
            f"{checks.describe(p['table'])}."
        )
    bias = _by_distance(p["table"], q)
    return dot_product_attention(q, k, v, mask, causal=True, window=window, bias=bias, **how)


def _by_distance(table: jax.Array, q: jax.Array) -> jax.Array:
    """Scores (..., h, t, s) of queries (..., t, h, k), by the key of the distance from s to t; any number ahead."""
    t, size = q.shape[-3], q.shape[-1]
    distance = jnp.minimum(jnp.arange(t)[::-1], table.shape[0] - 1)
    keys = take(table, distance, known=True).astype(q.dtype)
    scores = jnp.einsum("...thk,rhk->...htr", q * size**-0.5, keys, preferred_element_type=wide_dtype(q))
    # column r of row i is the distance t - 1 - r; a zero before each row, and it begins one further left in the next
    padded = jnp.pad(scores, [(0, 0)] * (scores.ndim - 1) + [(1, 0)])
    return padded.reshape(*scores.shape[:-2], t + 1, t)[..., 1:, :]
