"""What stands before and behind a decoder's layers: embedded tokens, the last norm, logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.axes import constrain
from jnn.layers import embed, linear, rms_norm, unembed
from jnn.models.decoders._config import DecoderConfig
from jnn.param import Params


def embed_tokens(p: Params, tokens: jax.Array, config: DecoderConfig) -> jax.Array:
    """(..., t) -> (..., t, d): the tokens' vectors."""
    x = embed(p["embed"], tokens)
    return x if config.embed_scale == 1 else x * jnp.asarray(config.embed_scale, x.dtype)


def read_out(p: Params, x: jax.Array, config: DecoderConfig) -> jax.Array:
    """(..., d) -> (..., vocab): logits, from weights of their own iff p has them."""
    return logits_of(p, last_norm(p, x, config), config)


def last_norm(p: Params, x: jax.Array, config: DecoderConfig) -> jax.Array:
    """(..., d) -> (..., d): the rows that logits are read from."""
    return rms_norm(p["norm"], x, epsilon=config.epsilon)


def logits_at_all_times(p: Params, x: jax.Array, config: DecoderConfig) -> jax.Array:
    """(..., t, d) -> (..., t, vocab), of rows that are normalized, in training."""
    return constrain(logits_of(p, x, config), "time", "vocab")


def logits_of(p: Params, x: jax.Array, config: DecoderConfig) -> jax.Array:
    """Logits of rows that are normalized."""
    logits = linear(p["out"], x) if "out" in p else unembed(p["embed"], x)
    return logits if config.logit_cap is None else config.logit_cap * jnp.tanh(logits / config.logit_cap)
