"""Encoder-decoders, at toy widths; those of published families are in the zoo."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jnn import models
from jnn.laws import Block
from tests.table.rows import floats, integers

SOURCE, LENGTH = np.array([3, 1, 4, 1, 5], np.int32), np.int32(4)


def translating(name: str, config: models.EncoderDecoderConfig) -> Block:
    """What is said of one source, always the same, and its cache."""
    always = lambda leading: (jnp.broadcast_to(SOURCE, (*leading, 5)), jnp.broadcast_to(LENGTH, leading))

    def apply(p, target, key):
        source, lengths = always(getattr(target, "shape", (0,))[:-1])  # lists are for the model to refuse
        return models.encoder_decoder(p, source, target, config, key=key, lengths=lengths, rate=0.2)

    def begin(p, length, leading):
        source, lengths = always(leading)
        return models.encoder_decoder_cache(p, source, config, length, lengths=lengths)

    return Block(
        name,
        models.encoder_decoder_spec(config),
        apply,
        integers(11, 6),
        noisy=True,
        causal=True,
        chunk=lambda p, tokens, cache: models.cached_encoder_decoder(p, tokens, cache, config),
        begin=begin,
    )


def reading(name: str, config: models.EncoderDecoderConfig) -> Block:
    """A target, and a source of some length."""
    source = integers(11, 5) if config.bands is None else floats(5, config.bands)
    return Block(
        name,
        models.encoder_decoder_spec(config),
        lambda p, target, source, n, key: models.encoder_decoder(
            p, source, target, config, key=key, lengths=n, rate=0.2
        ),
        lambda rng: (*integers(11, 6)(rng), *source(rng), *integers(6)(rng)),
        noisy=True,
        causal=True,
    )


BLOCKS = [translating("encoder_decoder", models.EncoderDecoderConfig(vocab=11, layers=2, heads=2, embed=8, hidden=6))]
