"""Embedding bag: one vector for several tokens. Laws: as `_embed`; a bag of one token is that token's embedding."""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._embed import embed_spec, lookup
from jnn.precision import wide

embedding_bag_spec = embed_spec
"""Declares the table of an embedding bag: as `embed_spec`."""

Mode = Literal["sum", "mean", "max"]


def embedding_bag(
    p: dict[str, jax.Array],
    tokens: jax.Array,
    *,
    mode: Mode = "mean",
    weights: jax.Array | None = None,
    lengths: jax.Array | None = None,
) -> jax.Array:
    """Embedding bag: the sum, mean or maximum of the vectors of a bag of tokens; of features that are there or not.

    See "Bag of Tricks for Efficient Text Classification", Joulin et al., 2017.

    Args:
      p: {"table": (vocab, d)}.
      tokens: (..., n), integers in 0..vocab-1.
      mode: "sum", "mean" or "max" over the bag.
      weights: (..., n), how much each token counts in a "sum"; None: 1.
      lengths: (...), integers in 0..n: how many tokens of each bag are valid, the others and their weights may be
        anything; None: all.

    Returns:
      (..., d), in the table's dtype; zeros for a bag without tokens. Under `jit`, NaN for a token out of range.

    Raises:
      TypeError: tokens or lengths are not integers.
      ValueError: shapes do not fit, tokens are empty or known to lie out of range, or weights of no sum.

    >>> embedding_bag({"table": jnp.eye(3)}, jnp.array([2, 0, 0]), mode="sum").tolist()
    [2.0, 0.0, 1.0]
    """
    checks.params("embedding_bag", p, "table")
    checks.integers("embedding_bag", tokens, ndim=1, name="tokens")
    _check(tokens, mode, weights)
    inside = _inside(tokens, lengths)
    rows = wide(lookup("embedding_bag", p["table"], jnp.where(inside, tokens, 0), what="tokens"))
    if weights is not None:
        rows = rows * jnp.where(inside, weights, 0)[..., None].astype(rows.dtype)
    inside = inside[..., None]
    if mode == "max":
        y = jnp.max(jnp.where(inside, rows, -jnp.inf), -2)
        return jnp.where(inside.any(-2), y, 0.0).astype(p["table"].dtype)
    y = jnp.sum(jnp.where(inside, rows, 0.0), -2)
    if mode == "mean":
        y = y / jnp.maximum(inside.sum(-2, dtype=y.dtype), 1)
    return y.astype(p["table"].dtype)


def _check(tokens: jax.Array, mode: str, weights: jax.Array | None) -> None:
    if mode not in get_args(Mode):
        raise ValueError(f"embedding_bag: mode is one of {', '.join(get_args(Mode))}; found {mode!r}.")
    if weights is not None:
        checks.same_shape("embedding_bag", tokens=tokens, weights=weights)
        if mode != "sum":
            raise ValueError(f'embedding_bag: weights are for mode="sum", found {mode!r}. Divide a sum by theirs.')


def _inside(tokens: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """Which tokens (..., n) are valid."""
    n = tokens.shape[-1]
    if lengths is None:
        return jnp.ones(tokens.shape, bool)
    checks.integers("embedding_bag", lengths, name="lengths")
    if lengths.shape != tokens.shape[:-1]:
        raise ValueError(
            f"embedding_bag: expected one length per bag of tokens {checks.describe(tokens)}, found "
            f"{checks.describe(lengths)}."
        )
    checks.lengths("embedding_bag", lengths, n, of="tokens")
    return jnp.arange(n).reshape((1,) * lengths.ndim + (n,)) < lengths[..., None]
