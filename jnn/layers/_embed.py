"""Embedding: a table of vectors, one per token; and the same table read the other way, as logits.

Laws: `embed(p, tokens)` equals `one_hot(tokens) @ table`, and its gradient too; `unembed(p, embed(p, t))`
is the Gram matrix of the table. A token out of range is an error where it is known, and under `jit`
a row of NaN: nothing is clamped or wrapped in silence.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, normal
from jnn.layers._linear import linear
from jnn.layers._quantized_weight import dequantize_weight, quantized_read_out, weight_shape
from jnn.param import Param, Params, Spec
from jnn.precision import narrow, take

SMALL = normal(0.02)  # GPT-2's, small enough for the logits of a tied read-out


def embed_spec(
    vocab: int,
    d: int,
    *,
    axes: tuple[str, str] = ("vocab", "embed"),
    init: Init = SMALL,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an embedding: a table of `vocab` vectors of size d.

    Args:
      vocab: how many tokens there are.
      d: the size of a vector.
      axes: names of the two axes.
      init: initial values.
      dtype: of the table, and so of what is looked up.

    Returns:
      {"table": (vocab, d)}

    >>> embed_spec(1000, 64)["table"].shape
    (1000, 64)
    """
    return {"table": Param((vocab, d), init, axes, dtype, fan_in=axes[:1], fan_out=axes[1:])}


def embed(p: Params, tokens: jax.Array) -> jax.Array:
    """Embedding: the vector of each token.

    See "A Neural Probabilistic Language Model", Bengio et al., 2003.

    Args:
      p: {"table": (vocab, d)}, of floats, or of `quantize_weight` with scales for its rows.
      tokens: (...), integers in 0..vocab-1.

    Returns:
      (..., d), in the table's dtype. Under `jit`, NaN for a token out of range.

    Raises:
      TypeError: tokens are not integers.
      ValueError: tokens are empty, or known to lie out of range.

    >>> embed({"table": jnp.eye(3)}, jnp.array([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    checks.params("embed", p, "table", adapted=True)
    table = p["table"]
    if not checks.is_quantized(table):
        return lookup("embed", table, tokens, what="tokens")
    scale = lookup("embed", table["scales"], tokens, what="tokens")
    return dequantize_weight({name: table[name][tokens] for name in table} | {"scales": scale})


def unembed(p: Params, x: jax.Array) -> jax.Array:
    """Tied read-out: `x @ table.T`, a logit per token, from the weights that embed them.

    See "Using the Output Embedding to Improve Language Models", Press and Wolf, 2017.

    Args:
      p: {"table": (vocab, d)}, as for `embed`.
      x: (..., d), floating point.

    Returns:
      (..., vocab), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axis is not d, or x is empty.

    >>> unembed({"table": jnp.eye(3)}, jnp.array([[0.0, 5.0, 0.0]])).argmax().item()
    1
    """
    checks.params("unembed", p, "table", adapted=True)
    table = p["table"]
    checks.floats("unembed", x)
    checks.trailing("unembed", x, weight_shape(table)[1:])
    return quantized_read_out(table, narrow(x)) if checks.is_quantized(table) else linear({"w": table.T}, x)


def lookup(layer: str, table: jax.Array, rows: jax.Array, *, what: str) -> jax.Array:
    """`table[rows]`, with this layer's errors; NaN for a row out of range under `jit`."""
    checks.integers(layer, rows, name=what)
    checks.in_range(layer, rows, table.shape[0], what=what, of="rows in its table")
    return take(table, rows)
