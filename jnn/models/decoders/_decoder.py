"""The decoder of Llama's family: RMS norms, rotary positions, grouped queries, a gated feed-forward network.

    decoder_spec(config) -> spec
    decoder(p, tokens, config, key=key) -> logits           all positions at once, for training
    decoder_hidden(p, tokens, config, key=key) -> hidden    what these are read from, for `chunked_cross_entropy`

(With what its routers chose: `_routed_decoder`. One chunk of tokens after another, with a cache: `_cached_decoder`.
Published members of the family, and the names of their weights: `_llama`, `_mistral`, `_mixtral`, `_qwen`, `_gemma`,
`_phi`.)

The layers are stacked and scanned; where their windows differ, in groups of as many as there are windows, so that each
window is known when the program is traced. A compiler may then have the weights of a group whole at one time, where
devices keep pieces of them; remembered, and computed again, is layer by layer.

Laws: logits at t do not depend on tokens after t; packed rows equal the rows alone; remat changes no value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import normal
from jnn.layers import (
    Routing,
    dropout,
    embed_spec,
    linear_spec,
    rms_norm_spec,
    scan_layers,
)
from jnn.models._transformer_block import mask_of_rows, transformer_block
from jnn.models.decoders._block import block_options, block_spec
from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._ends import embed_tokens, last_norm, logits_at_all_times
from jnn.models.decoders._groups import groups, layer
from jnn.param import Params, Spec, check_key, stack
from jnn.remat import Remat, remat_layer

Group = Callable[..., tuple[jax.Array, tuple[Routing | None, ...]]]  # (p, x, key, rows) -> x, a routing for each window


def decoder_spec(config: DecoderConfig, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a decoder of Llama's family.

    Initial values are normal(0.02), and smaller by the square root of their number where they end a residual branch.

    Args:
      config: its sizes.
      dtype: of all.

    Returns:
      {"embed", "blocks" (with a leading axis "layers"), "norm", "out" (unless config.tied)}

    >>> config = DecoderConfig(vocab=65, layers=4, heads=8, kv_heads=2, embed=128, hidden=256)
    >>> decoder_spec(config)["blocks"]["attention"]["k"]["w"].shape
    (4, 128, 2, 16)
    """
    d = config.embed
    out = linear_spec(d, config.vocab, axes=("embed", "vocab"), bias=False, init=normal(0.02), dtype=dtype)
    return {
        "embed": embed_spec(config.vocab, d, dtype=dtype),
        "blocks": stack(block_spec(config, dtype=dtype), config.layers),
        "norm": rms_norm_spec(d, zero_centered=config.zero_centered, dtype=dtype),
        **({} if config.tied else {"out": out}),
    }


def decoder(
    p: Params,
    tokens: jax.Array,
    config: DecoderConfig,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    mask: jax.Array | None = None,
    remat: Remat = "dots",
) -> jax.Array:
    """Decoder of Llama's family: logits of the token after each token.

    See "LLaMA: Open and Efficient Foundation Language Models", Touvron et al., 2023. With experts, what their load is
    balanced by in training comes from `routed_decoder`.

    Args:
      p: as `decoder_spec` declares.
      tokens: (..., t), integers in 0..vocab-1. Rotations know distances alone: packed rows need no positions.
      config: what p was declared by.
      key: noise for dropout, None for none.
      rate: of dropout, on the embedding and on each residual branch.
      mask: as in `attention`, beside causality: `segment_mask(segments)` for packed rows.
      remat: what the backward pass remembers of each block, as in `jnn.remat`.

    Returns:
      (..., t, vocab), in the parameters' dtype.

    Raises:
      TypeError: tokens are not integers.
      ValueError: tokens are out of range, or remat is unknown.

    >>> from jnn.param import init
    >>> config = DecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16)
    >>> p = init(decoder_spec(config), jax.random.key(0))
    >>> decoder(p, jnp.zeros((3, 10), jnp.int32), config, key=None).shape
    (3, 10, 65)
    """
    how: dict[str, Any] = {"key": key, "rate": rate, "mask": mask, "remat": remat}
    ends, x, _ = between_ends("decoder", partial(_through, key), p, tokens, config, **how)
    return logits_at_all_times(ends, x, config)


def decoder_hidden(
    p: Params,
    tokens: jax.Array,
    config: DecoderConfig,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    mask: jax.Array | None = None,
    remat: Remat = "dots",
) -> jax.Array:
    """Hidden states of a decoder of Llama's family: what the logits of `decoder` are read from.

    With a large vocabulary `chunked_cross_entropy(hidden, table, labels, soft_cap=config.logit_cap)` is its loss,
    without the logits; the table is `p["embed"]["table"]` where config.tied, otherwise `p["out"]["w"].T`.

    Args:
      p, tokens, config, key, rate, mask, remat: as in `decoder`.

    Returns:
      (..., t, embed), normalized, in the parameters' dtype.

    Raises:
      TypeError, ValueError: as `decoder`.

    >>> from jnn.param import init
    >>> config = DecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16)
    >>> p = init(decoder_spec(config), jax.random.key(0))
    >>> decoder_hidden(p, jnp.zeros((3, 10), jnp.int32), config, key=None).shape
    (3, 10, 8)
    """
    how: dict[str, Any] = {"key": key, "rate": rate, "mask": mask, "remat": remat}
    return between_ends("decoder_hidden", partial(_through, key), p, tokens, config, **how)[1]


def _through(
    key: jax.Array | None, group: Group, blocks: Params, x: jax.Array, rows: jax.Array | None
) -> tuple[jax.Array, None]:
    one = lambda *of_layer: group(*of_layer)[0]
    return scan_layers(one, blocks, x, "time", "embed", key=key, beside=rows), None


def between_ends(
    name: str,
    through: Callable[[Group, Params, jax.Array, jax.Array | None], tuple[jax.Array, Any]],
    p: Params,
    tokens: jax.Array,
    config: DecoderConfig,
    *,
    key: jax.Array | None,
    rate: float,
    mask: jax.Array | None,
    remat: Remat,
) -> tuple[Params, jax.Array, Any]:
    """The ends as they are used, hidden states, and what else `through` gives.

    That puts rows through the stacked groups of layers, by a group's function; what it is given beside, as
    `scan_layers` does, is the mask where it differs from row to row.
    """
    checks.params(name, p, "embed", "blocks", "norm", may=("out",))
    check_key(name, key, optional=True)
    checks.integers(name, tokens, ndim=1, name="tokens")

    def block(
        i: int, window: int | None, p: Params, x: jax.Array, key: jax.Array | None, rows: jax.Array | None
    ) -> tuple[jax.Array, Routing | None]:
        # cut out of the group here: what is cut before is remembered, a copy of all weights
        p, routings = gather(layer(p, i, config), "blocks"), list[Routing]()
        options = block_options(p, config, routings)
        x = transformer_block(p, x, key=key, rate=rate, window=window, mask=rows, **options)
        return x, routings[0] if routings else None

    def group(
        p: Params, x: jax.Array, key: jax.Array | None, rows: jax.Array | None
    ) -> tuple[jax.Array, tuple[Routing | None, ...]]:
        routings = []
        for i, window in enumerate(config.windows):
            own = None if key is None else jax.random.fold_in(key, i)
            each = remat_layer(remat)(partial(block, i, window))
            x, routing = each(p, x, own, mask if rows is None else rows)
            routings.append(routing)
        return x, tuple(routings)

    ends = gather({name: p[name] for name in p if name != "blocks"})
    first = None if key is None else jax.random.fold_in(key, 0)
    x = constrain(dropout(embed_tokens(ends, tokens, config), rate, key=first), "time", "embed")
    x, more = through(group, groups(p["blocks"], config), x, mask_of_rows(mask, tokens))
    return ends, last_norm(ends, x, config), more
