"""An encoder-decoder as generation sees it: a source is one of its parameters, and is read once.

    encoder_decoder_model(config) -> model          of {"params": p, "source": source}, and perhaps "lengths"

Law: sources that differ share a compiled program where their shapes do.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax.numpy as jnp

from jnn import checks
from jnn.cached_model import CachedModel
from jnn.models.encoder_decoders._cached_encoder_decoder import (
    EncoderDecoderCache,
    cached_encoder_decoder,
    encoder_decoder_cache,
)
from jnn.models.encoder_decoders._config import EncoderDecoderConfig
from jnn.models.encoder_decoders._positions import LearnedPositions
from jnn.param import Params

_WHERE = "encoder_decoder_model"


@functools.cache  # equal configs are one model, and so one compiled program
def encoder_decoder_model(config: EncoderDecoderConfig) -> CachedModel:
    """Encoder-decoder, as `jnn.generate` and `beam_search` take it: a translator, a summarizer, a transcriber.

    What they are given as parameters is {"params": p, "source": source}, with "lengths" as `encoder_decoder` takes it
    where sources are padded; the prompt is what a target begins with, such as one start token. There is a source for
    each prompt, or one for all. A beam search is of one source: `jax.vmap` it over more.

    >>> import jax
    >>> from jnn.generation import GREEDY, generate
    >>> from jnn.models import encoder_decoder_spec
    >>> from jnn.param import init
    >>> config = EncoderDecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16)
    >>> p = {"params": init(encoder_decoder_spec(config), jax.random.key(0)), "source": jnp.array([[5, 6], [7, 8]])}
    >>> generate(p, jnp.zeros((2, 1), jnp.int32), 5, encoder_decoder_model(config), GREEDY).tokens.shape
    (2, 6)
    """
    longest = config.positions.context if isinstance(config.positions, LearnedPositions) else None
    return CachedModel(
        cache=lambda p, length, leading=(): _cache(p, config, length, leading),
        chunk=lambda p, tokens, cache: cached_encoder_decoder(p["params"], tokens, cache, config),
        vocab=lambda p: _vocab(p, config),
        longest=lambda p: longest,
    )


def _vocab(p: Params, config: EncoderDecoderConfig) -> int:
    """How many tokens there are: what generation asks first, and so what checks params for all of it."""
    checks.params(_WHERE, p, "params", "source", may=("lengths",))
    return config.vocab


def _cache(p: Params, config: EncoderDecoderConfig, length: int, leading: Sequence[int]) -> EncoderDecoderCache:
    """A cache for targets with these leading axes; one source is that of all."""
    source, lengths, own = p["source"], p.get("lengths"), 1 if config.bands is None else 2
    found = source.shape[: source.ndim - own]
    if not found:
        source = jnp.broadcast_to(source, (*leading, *source.shape))
        lengths = None if lengths is None else jnp.broadcast_to(lengths, tuple(leading))
    elif found != tuple(leading):
        raise ValueError(
            f"{_WHERE}: expected one source, or sources {tuple(leading)} for as many prompts, found sources {found}. "
            "Beams of several are jax.vmap of a search of one."
        )
    return encoder_decoder_cache(p["params"], source, config, length, lengths=lengths)
