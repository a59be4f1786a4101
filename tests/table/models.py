"""Models, at toy widths."""

from __future__ import annotations

from typing import Any

from jnn import layers, models
from jnn.laws import Block
from jnn.param import Spec
from tests.table.rows import floats, integers


def decoding(name: str, spec: Spec, **how: Any) -> Block:
    """A decoder and the caches of its layers."""
    return Block(
        name,
        spec,
        lambda p, tokens, key: models.transformer(p, tokens, key=key, rate=0.2, **how),
        integers(11, 6),
        noisy=True,
        causal=True,
        chunk=models.cached_transformer,
        begin=lambda p, length, leading: models.transformer_cache(p, length, leading=leading),
    )


def of_family(name: str, **choices: Any) -> Block:
    """A decoder of Llama's family and its caches."""
    config = models.DecoderConfig(**{"vocab": 11, "layers": 2, "heads": 2, "embed": 8, "hidden": 6} | choices)
    return Block(
        name,
        models.decoder_spec(config),
        lambda p, tokens, key: models.decoder(p, tokens, config, key=key, rate=0.2),
        integers(11, 6),
        noisy=True,
        causal=True,
        chunk=lambda p, tokens, cache: models.cached_decoder(p, tokens, cache, config),
        begin=lambda p, length, leading: models.decoder_cache(p, config, length, leading=leading),
    )


TIED = models.DecoderConfig(vocab=11, layers=2, heads=2, embed=8, hidden=6, tied=True)
BLOCKS = [
    Block("perceptron", models.perceptron_spec(4), lambda p, x, key: models.perceptron(p, x), floats(4)),
    Block(
        "mlp",
        models.mlp_spec((5, 8, 6, 3)),
        lambda p, x, key: models.mlp(p, x, key=key, rate=0.3),
        floats(5),
        noisy=True,
    ),
    Block(
        "cnn",
        models.cnn_spec((8, 8, 1), (4, 6), 8, 3),
        lambda p, x, key: models.cnn(p, x, key=key),
        floats(8, 8, 1),
        noisy=True,
    ),
    decoding("transformer", models.transformer_spec(11, 6, layers=2, heads=2, embed=8)),
    Block(
        "transformer_hidden",
        models.transformer_spec(11, 6, layers=2, heads=2, embed=8),
        lambda p, tokens, key: models.transformer_hidden(p, tokens, key=key, rate=0.2),
        integers(11, 6),
        noisy=True,
        causal=True,
    ),
    Block(
        "decoder_hidden",
        models.decoder_spec(TIED),
        lambda p, tokens, key: models.decoder_hidden(p, tokens, TIED, key=key, rate=0.2),
        integers(11, 6),
        noisy=True,
        causal=True,
    ),
    decoding(
        "transformer-rotary-grouped",
        models.transformer_spec(11, None, layers=3, heads=2, embed=8, kv_heads=1, bias=False),
        remat="full",
    ),
    of_family("decoder", kv_heads=1, windows=(3, None)),
    Block(
        "recurrent_classifier",
        models.recurrent_classifier_spec(12, 4, 6, 2, layers=2, cell_spec=layers.gru_cell_spec, both_ways=True),
        lambda p, tokens, n, key: models.recurrent_classifier(
            p, tokens, lengths=n, key=key, cell=layers.gru_cell, readout=models.mean_state, rate=0.3
        ),
        lambda rng: (*integers(11, 5)(rng), *integers(6)(rng)),
        noisy=True,
    ),
]
