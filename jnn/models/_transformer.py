"""A decoder-only transformer, of GPT-2's shape: pre-norm blocks, stacked and scanned, with a tied read-out.

    transformer(p, tokens, key=key) -> logits           all positions at once, for training
    transformer_hidden(p, tokens, key=key) -> hidden    what these are read from, for `chunked_cross_entropy`

(One chunk of tokens after another, with a cache: `_cached_transformer`, `_paged_transformer`.)

The layers' parameters are stacked along a leading axis and the stack is scanned, so that compile time does
not grow with depth. How many layers, heads and positions there are is in the shapes; positions are learned
iff "position" is in p, otherwise queries and keys are rotated.

Laws: logits at t do not depend on tokens after t; packed rows equal the rows alone; remat changes no value.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import (
    Rotate,
    dropout,
    embed,
    embed_spec,
    layer_norm,
    layer_norm_spec,
    learned_positions,
    learned_positions_spec,
    rotary,
    scan_layers,
    unembed,
)
from jnn.models._transformer_block import mask_of_rows, transformer_block, transformer_block_spec
from jnn.param import Params, Spec, check_key, stack
from jnn.precision import add_bias
from jnn.remat import Remat


def transformer_spec(
    vocab: int,
    context: int | None,
    *,
    layers: int,
    heads: int,
    embed: int,
    hidden: int | None = None,
    kv_heads: int | None = None,
    bias: bool = True,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a decoder-only transformer.

    See "Language Models are Unsupervised Multitask Learners", Radford et al., 2019: normal(0.02)
    throughout, and what ends a residual branch smaller by the square root of how many there are.

    Args:
      vocab: how many tokens there are.
      context: how many positions are learned; None for rotary positions, which know no end.
      layers: how many blocks there are.
      heads: query heads of each.
      embed: the width of the residual stream.
      hidden: the width inside the MLP; 4 * embed by default.
      kv_heads: key and value heads, as in `attention_spec`.
      bias: whether linear maps and norms have biases; GPT-2's do, nanoGPT's do not.
      dtype: of all.

    Returns:
      {"embed", "position" (unless context is None), "blocks" (with a leading axis "layers"), "norm"}

    >>> spec = transformer_spec(65, 64, layers=4, heads=4, embed=128)
    >>> spec["blocks"]["attention"]["q"]["w"].shape
    (4, 128, 4, 32)
    """
    out_std = 0.02 / (2 * layers) ** 0.5
    block = transformer_block_spec(
        embed, heads, hidden or 4 * embed, kv_heads=kv_heads, bias=bias, out_std=out_std, dtype=dtype
    )
    position = {} if context is None else {"position": learned_positions_spec(context, embed, dtype=dtype)}
    return {
        "embed": embed_spec(vocab, embed, dtype=dtype),
        **position,
        "blocks": stack(block, layers),
        "norm": layer_norm_spec(embed, bias=bias, dtype=dtype),
    }


def transformer(
    p: Params,
    tokens: jax.Array,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    positions: jax.Array | None = None,
    mask: jax.Array | None = None,
    remat: Remat = "dots",
) -> jax.Array:
    """Decoder-only transformer: logits of the token after each token.

    Args:
      p: as `transformer_spec` declares.
      tokens: (..., t), integers in 0..vocab-1.
      key: noise for dropout, None for none.
      rate: of dropout, on the embedding and on each residual branch.
      positions: (..., t), where each token stands, for learned positions of packed rows; 0, 1, ... by default.
      mask: as in `attention`, beside causality: `segment_mask(segments)` for packed rows.
      remat: what the backward pass remembers of each block, as in `jnn.remat`. On a CPU "dots" is the fastest too,
        by a quarter: the rest is cheaper to compute than to fetch.

    Returns:
      (..., t, vocab), in the parameters' dtype.

    Raises:
      TypeError: tokens are not integers.
      ValueError: tokens are out of range or more than the learned positions, or remat is unknown.

    >>> from jnn.param import init
    >>> p = init(transformer_spec(65, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> transformer(p, jnp.zeros((3, 10), jnp.int32), key=None).shape
    (3, 10, 65)
    """
    how: dict[str, Any] = {"key": key, "rate": rate, "positions": positions, "mask": mask, "remat": remat}
    ends, x = _before_read_out("transformer", p, tokens, **how)
    return constrain(unembed(ends["embed"], x), "time", "vocab")


def transformer_hidden(
    p: Params,
    tokens: jax.Array,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    positions: jax.Array | None = None,
    mask: jax.Array | None = None,
    remat: Remat = "dots",
) -> jax.Array:
    """Hidden states of a decoder-only transformer: `transformer(p, ...)` is these times the table of `embed`.

    With a large vocabulary `chunked_cross_entropy(hidden, p["embed"]["table"], labels)` is its loss without the logits.

    Args:
      p, tokens, key, rate, positions, mask, remat: as in `transformer`.

    Returns:
      (..., t, embed), normalized, in the parameters' dtype.

    Raises:
      TypeError, ValueError: as `transformer`.

    >>> from jnn.param import init
    >>> p = init(transformer_spec(65, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> transformer_hidden(p, jnp.zeros((3, 10), jnp.int32), key=None).shape
    (3, 10, 8)
    """
    how: dict[str, Any] = {"key": key, "rate": rate, "positions": positions, "mask": mask, "remat": remat}
    return _before_read_out("transformer_hidden", p, tokens, **how)[1]


def _before_read_out(
    name: str,
    p: Params,
    tokens: jax.Array,
    *,
    key: jax.Array | None,
    rate: float,
    positions: jax.Array | None,
    mask: jax.Array | None,
    remat: Remat,
) -> tuple[Params, jax.Array]:
    """What stands before and behind the layers, as it is used; and the hidden states."""
    checks.params(name, p, "embed", "blocks", "norm")
    for table in p.keys() & {"embed", "position"}:
        checks.params(name, p[table], "table", what=f"params[{table!r}]", adapted=table == "embed")
    check_key(name, key, optional=True)
    checks.integers(name, tokens, ndim=1, name="tokens")
    if positions is None:
        positions = jnp.arange(tokens.shape[-1])
        if "position" in p and tokens.shape[-1] > (context := p["position"]["table"].shape[0]):
            raise ValueError(f"{name}: found {tokens.shape[-1]} tokens, its params have {context} positions.")

    def block(p: Params, x: jax.Array, key: jax.Array | None, rows: jax.Array | None) -> jax.Array:
        return transformer_block(p, x, key=key, rate=rate, mask=mask if rows is None else rows, rotate=rotate)

    rotate, ends = rotation(p), gather({part: p[part] for part in p if part != "blocks"})
    first = None if key is None else jax.random.fold_in(key, 0)
    x = constrain(dropout(embed_tokens(ends, tokens, positions), rate, key=first), "time", "embed")
    beside = mask_of_rows(mask, tokens)
    x = scan_layers(block, p["blocks"], x, "time", "embed", path="blocks", key=key, remat=remat, beside=beside)
    return ends, layer_norm(ends["norm"], x)


def embed_tokens(p: Params, tokens: jax.Array, positions: jax.Array) -> jax.Array:
    """(..., t) -> (..., t, d): the tokens' vectors, and their positions' where they are learned."""
    x = embed(p["embed"], tokens)
    if "position" not in p:
        return x
    where = learned_positions(p["position"], positions)
    return add_bias(x, where)


def rotation(p: Params) -> Rotate | None:
    """What turns queries and keys: nothing where positions are learned."""
    return None if "position" in p else rotary
