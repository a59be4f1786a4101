"""The decoder of Llama's family: RMS norms, rotary positions, grouped queries, a gated feed-forward network.

    decoder_spec(config) -> spec
    decoder(p, tokens, config, key=key) -> logits       all positions at once, for training

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
    embed,
    embed_spec,
    linear,
    linear_spec,
    rms_norm,
    rms_norm_spec,
    scan_layers,
    unembed,
)
from jnn.models._transformer_block import mask_of_rows, transformer_block
from jnn.models.decoders._block import block_options, block_spec
from jnn.models.decoders._config import DecoderConfig
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

    def through(group: Group, blocks: Params, x: jax.Array, rows: jax.Array | None) -> tuple[jax.Array, None]:
        one = lambda *of_layer: group(*of_layer)[0]
        return scan_layers(one, blocks, x, "time", "embed", key=key, beside=rows), None

    return between_ends("decoder", through, p, tokens, config, key=key, rate=rate, mask=mask, remat=remat)[0]


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
) -> tuple[jax.Array, Any]:
    """Logits, and what else `through` gives: it puts rows through the stacked groups of layers, by a group's function.

    What that is given beside, as `scan_layers` does, is the mask where it differs from row to row.
    """
    checks.params(name, p, "embed", "blocks", "norm", may=("out",))
    check_key(name, key, optional=True)
    checks.integers(name, tokens, ndim=1, name="tokens")

    def block(
        window: int | None, p: Params, x: jax.Array, key: jax.Array | None, rows: jax.Array | None
    ) -> tuple[jax.Array, Routing | None]:
        p, routings = gather(p, "blocks"), list[Routing]()
        options = block_options(p, config, routings)
        x = transformer_block(p, x, key=key, rate=rate, window=window, mask=rows, **options)
        return x, routings[0] if routings else None

    def group(
        p: Params, x: jax.Array, key: jax.Array | None, rows: jax.Array | None
    ) -> tuple[jax.Array, tuple[Routing | None, ...]]:
        routings = []
        for i, window in enumerate(config.windows):
            own = None if key is None else jax.random.fold_in(key, i)
            each = remat_layer(remat)(partial(block, window))
            x, routing = each(layer(p, i), x, own, mask if rows is None else rows)
            routings.append(routing)
        return x, tuple(routings)

    ends = gather({name: p[name] for name in p if name != "blocks"})
    first = None if key is None else jax.random.fold_in(key, 0)
    x = constrain(dropout(embed_tokens(ends, tokens, config), rate, key=first), "time", "embed")
    x, more = through(group, groups(p["blocks"], config), x, mask_of_rows(mask, tokens))
    return constrain(read_out(ends, x, config), "time", "vocab"), more


def groups(blocks: Any, config: DecoderConfig) -> Any:
    """Stacked layers (layers, ...) in groups of as many as there are windows: (layers / n, n, ...)."""
    n = len(config.windows)
    return jax.tree.map(lambda x: x.reshape(x.shape[0] // n, n, *x.shape[1:]), blocks)


def layer(group: Any, i: int) -> Any:
    """One layer of a group."""
    return jax.tree.map(lambda x: x[i], group)


def layer_at(blocks: Any, i: jax.Array) -> Any:
    """Layer i of stacked ones, which may be traced: groups would copy all weights for each token of a loop."""
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), blocks)


def embed_tokens(p: Params, tokens: jax.Array, config: DecoderConfig) -> jax.Array:
    """(..., t) -> (..., t, d): the tokens' vectors."""
    x = embed(p["embed"], tokens)
    return x if config.embed_scale == 1 else x * jnp.asarray(config.embed_scale, x.dtype)


def read_out(p: Params, x: jax.Array, config: DecoderConfig) -> jax.Array:
    """(..., d) -> (..., vocab): logits, from weights of their own iff p has them."""
    return logits_of(p, rms_norm(p["norm"], x, epsilon=config.epsilon), config)


def logits_of(p: Params, x: jax.Array, config: DecoderConfig) -> jax.Array:
    """Logits of rows that are normalized."""
    logits = linear(p["out"], x) if "out" in p else unembed(p["embed"], x)
    return logits if config.logit_cap is None else config.logit_cap * jnp.tanh(logits / config.logit_cap)
