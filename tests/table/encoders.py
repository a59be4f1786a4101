"""Encoders of BERT's family, and what is made of their hidden states."""

from __future__ import annotations

from typing import Any

from jnn import models
from jnn.laws import Block
from tests.table.rows import floats, integers

CONFIG = models.EncoderConfig(vocab=11, layers=2, heads=2, embed=8, hidden=6, context=8, epsilon=1e-3)
HEADS = {"encoder": models.encoder_spec(CONFIG), "head": models.masked_language_model_spec(CONFIG)}


def padded(rng: Any) -> Any:
    """Tokens, their segments, and how many of them there are."""
    return *integers(11, 6)(rng), *integers(2, 6)(rng), rng.integers(1, 7, ()).astype("int32")


def masked(p: Any, tokens: Any, key: Any) -> Any:
    """Logits of tokens, from the table that embeds them."""
    x = models.encoder(p["encoder"], tokens, CONFIG, key=key, rate=0.2)
    return models.masked_language_model(p["head"], x, p["encoder"]["embed"], CONFIG)


BLOCKS = [
    Block(
        "encoder",
        models.encoder_spec(CONFIG),
        lambda p, tokens, segments, n, key: models.encoder(
            p, tokens, CONFIG, key=key, segments=segments, lengths=n, rate=0.2
        ),
        padded,
        noisy=True,
    ),
    Block("masked_language_model", HEADS, masked, integers(11, 6), noisy=True),
    Block("pooler", models.pooler_spec(CONFIG), lambda p, x, key: models.pooler(p, x, CONFIG), floats(5, 8)),
    Block(
        "mean_pool",
        {},
        lambda p, x, n, key: models.mean_pool(x, lengths=n, unit=True),
        lambda rng: (*floats(5, 8)(rng), *integers(6)(rng)),
    ),
    Block(
        "sequence_classifier",
        models.sequence_classifier_spec(CONFIG, 3),
        lambda p, x, key: models.sequence_classifier(p, x, CONFIG, key=key, rate=0.3),
        floats(5, 8),
        noisy=True,
    ),
    Block(
        "token_classifier",
        models.token_classifier_spec(CONFIG, 3),
        lambda p, x, key: models.token_classifier(p, x, key=key, rate=0.3),
        floats(5, 8),
        noisy=True,
    ),
]
