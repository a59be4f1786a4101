"""The encoder of BERT's family: tokens, positions and segments, summed and normed, through post-norm blocks.

    encoder_spec(config) -> spec
    encoder(p, tokens, config, key=key, lengths=lengths) -> hidden states

(What is made of them: `_heads`. Published members of the family, and the names of their weights: `_bert`, `_roberta`,
`_distilbert`.)

Laws: padding is seen by no token, whatever it holds; packed rows, with positions of their own, equal the rows alone;
remat changes no value.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import (
    dropout,
    embed,
    embed_spec,
    layer_norm,
    layer_norm_spec,
    learned_positions,
    learned_positions_spec,
    length_mask,
    scan_layers,
)
from jnn.models._arrange import post_norm
from jnn.models._transformer_block import mask_of_rows, transformer_block, transformer_block_spec
from jnn.models.encoders._config import EncoderConfig
from jnn.param import Params, Spec, check_key, stack
from jnn.precision import add_bias
from jnn.remat import Remat


def encoder_spec(config: EncoderConfig, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares an encoder of BERT's family; initial values are normal(0.02).

    Args:
      config: its sizes.
      dtype: of all.

    Returns:
      {"embed", "position", "segment" (if config.segments), "norm", "blocks" (with a leading axis "layers")}

    >>> config = EncoderConfig(vocab=65, layers=4, heads=8, embed=128, hidden=256, context=64)
    >>> encoder_spec(config)["blocks"]["attention"]["k"]["w"].shape
    (4, 128, 8, 16)
    """
    d = config.embed
    segment = {"segment": embed_spec(config.segments, d, axes=("segment", "embed"), dtype=dtype)}
    return {
        "embed": embed_spec(config.vocab, d, dtype=dtype),
        "position": learned_positions_spec(config.context, d, dtype=dtype),
        **(segment if config.segments else {}),
        "norm": layer_norm_spec(d, dtype=dtype),
        "blocks": stack(transformer_block_spec(d, config.heads, config.hidden, dtype=dtype), config.layers),
    }


def encoder(
    p: Params,
    tokens: jax.Array,
    config: EncoderConfig,
    *,
    key: jax.Array | None,
    segments: jax.Array | None = None,
    lengths: jax.Array | None = None,
    mask: jax.Array | None = None,
    positions: jax.Array | None = None,
    rate: float = 0.0,
    remat: Remat = "dots",
) -> jax.Array:
    """Encoder of BERT's family: a vector for each token, of all tokens around it.

    See "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", Devlin et al., 2019.

    Args:
      p: as `encoder_spec` declares.
      tokens: (..., t), integers in 0..vocab-1.
      config: what p was declared by.
      key: noise for dropout, None for none.
      segments: (..., t), integers: which sentence of a pair each token is of; the first one by default.
      lengths: (...), how many tokens of each row there are; those behind them are padding.
      mask: as in `attention`, beside lengths: `segment_mask(rows)` for packed rows.
      positions: (..., t), where each token stands, for packed rows; 0, 1, ... by default, or as config.padding says.
      rate: of dropout, on the embedding and on each residual branch; weights of attention are not dropped.
      remat: what the backward pass remembers of each block, as in `jnn.remat`.

    Returns:
      (..., t, embed), in the parameters' dtype. What it holds at padding means nothing.

    Raises:
      TypeError: tokens, segments or lengths are not integers.
      ValueError: tokens are out of range or more than the positions, shapes do not fit, or remat is unknown.

    >>> from jnn.param import abstract
    >>> config = EncoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16, context=12)
    >>> encode = lambda p, tokens, lengths: encoder(p, tokens, config, key=None, lengths=lengths)
    >>> tokens, lengths = jnp.zeros((3, 10), jnp.int32), jnp.array([10, 4, 1])
    >>> jax.eval_shape(encode, abstract(encoder_spec(config)), tokens, lengths).shape
    (3, 10, 8)
    """
    checks.params("encoder", p, "embed", "position", "norm", "blocks", may=("segment",))
    check_key("encoder", key, optional=True)
    checks.integers("encoder", tokens, ndim=1, name="tokens")
    if tokens.shape[-1] > config.positions:
        raise ValueError(f"encoder: found {tokens.shape[-1]} tokens, its params have {config.positions} positions.")
    norm, mask = partial(layer_norm, epsilon=config.epsilon), _seen(tokens, lengths, mask)

    def block(p: Params, x: jax.Array, key: jax.Array | None, rows: jax.Array | None) -> jax.Array:
        return transformer_block(
            p,
            x,
            key=key,
            rate=rate,
            causal=False,
            mask=mask if rows is None else rows,
            norm=norm,
            activation=config.activation,
            arrange=post_norm,
        )

    ends = gather({name: p[name] for name in p if name != "blocks"})
    first = None if key is None else jax.random.fold_in(key, 0)
    where = _positions(tokens, config) if positions is None else positions
    x = norm(ends["norm"], _embed_tokens(ends, tokens, where, segments))
    x = constrain(dropout(x, rate, key=first), "time", "embed")
    beside = mask_of_rows(mask, tokens)
    return scan_layers(block, p["blocks"], x, "time", "embed", path="blocks", key=key, remat=remat, beside=beside)


def _embed_tokens(p: Params, tokens: jax.Array, positions: jax.Array, segments: jax.Array | None) -> jax.Array:
    """(..., t) -> (..., t, d): the tokens' vectors, their positions' and their segments'."""
    x = add_bias(embed(p["embed"], tokens), learned_positions(p["position"], positions))
    if segments is None:
        return add_bias(x, p["segment"]["table"][0]) if "segment" in p else x
    if "segment" not in p:
        raise ValueError("encoder: found segments, and params without them. Leave them out; or config.segments=2.")
    checks.same_shape("encoder", tokens=tokens, segments=segments)
    return add_bias(x, embed(p["segment"], segments))


def _positions(tokens: jax.Array, config: EncoderConfig) -> jax.Array:
    """Where tokens stand: (t,), all alike; (..., t) where padding does not count, and itself stands where it is called.

    A row of fewer tokens than there are positions leaves none out of range.
    """
    if config.padding is None:
        return jnp.arange(tokens.shape[-1])
    there = (tokens != config.padding).astype(jnp.int32)
    return config.padding + there * jnp.cumsum(there, axis=-1)


def _seen(tokens: jax.Array, lengths: jax.Array | None, mask: jax.Array | None) -> jax.Array | None:
    """The mask of attention: what lengths and a mask leave, with as many axes as the larger of them."""
    if lengths is None:
        return mask
    checks.integers("encoder", lengths, name="lengths")
    if lengths.shape != tokens.shape[:-1]:
        raise ValueError(
            f"encoder: expected lengths {tokens.shape[:-1]}, one for each row of tokens {checks.describe(tokens)}, "
            f"found {checks.describe(lengths)}."
        )
    checks.lengths("encoder", lengths, tokens.shape[-1], of="tokens")
    real = length_mask(lengths, tokens.shape[-1])
    return real if mask is None else real & mask.reshape((1,) * (real.ndim - mask.ndim) + mask.shape)
