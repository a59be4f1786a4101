"""The programs whose counts are guarded: one train step each, small, of the kinds that people write.

    PROGRAMS["gpt"]() -> (step, draw, batch)            draw() is its first state

Their networks are those of `experiments.benchmarks`, narrower: what is counted does not ask how wide they are, and they
compile in a second. "gpt" is trained as decoders are: bfloat16, dropout, two micro-batches, clipped gradients.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from jnn import models
from jnn.layers import linear, linear_spec, lstm_cell, lstm_cell_spec, rnn
from jnn.losses import cross_entropy
from jnn.train import LossOutput, create_state, make_step

CLASSES, ROWS = 10, 4
Built = tuple[Any, Callable[[], Any], Any]


def built(
    spec: Any, apply: Callable[..., jax.Array], x: np.ndarray, optimizer: optax.GradientTransformation, **options: Any
) -> Built:
    """A step of `apply(params, x, key) -> logits`, what draws its first state, and a batch."""

    def loss(params, batch, ctx):
        return LossOutput(cross_entropy(apply(params, batch["x"], ctx.key), batch["y"]))

    labels = x if np.issubdtype(x.dtype, np.integer) else np.zeros(x.shape[:1], np.int32)
    step = make_step(loss, optimizer, jax.random.key(1), **options)
    draw = lambda: create_state(jnn.init(spec, jax.random.key(0)), optimizer)
    return step, draw, {"x": x, "y": labels}


def mlp() -> Built:
    apply = lambda p, x, key: models.mlp(p, x, key=key, rate=(0.2, 0.0))
    return built(models.mlp_spec((32, 16, 16, CLASSES)), apply, np.ones((ROWS, 32), np.float32), optax.adam(1e-3))


def cnn() -> Built:
    apply = lambda p, x, key: models.cnn(p, x, key=key, rate=0.5)
    spec = models.cnn_spec((8, 8, 3), (8, 8), 16, CLASSES)
    return built(spec, apply, np.ones((ROWS, 8, 8, 3), np.float32), optax.adam(1e-3))


def lstm() -> Built:
    spec = {"lstm": lstm_cell_spec(8, 16), "out": linear_spec(16, CLASSES)}
    apply = lambda p, x, key: linear(p["out"], rnn(lstm_cell, p["lstm"], x)[0][:, -1])
    return built(spec, apply, np.ones((ROWS, 6, 8), np.float32), optax.adam(1e-3))


def decoder(layers: int, *, rate: float = 0.0, **options: Any) -> Built:
    spec = models.transformer_spec(64, 16, layers=layers, heads=2, embed=16)
    apply = lambda p, x, key: models.transformer(p, x, key=key, rate=rate)
    return built(spec, apply, np.zeros((ROWS, 16), np.int32), optax.adamw(1e-3), **options)


PROGRAMS = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
    "gpt": functools.partial(decoder, 4, rate=0.1, clip_norm=1.0, microbatches=2, compute_dtype=jnp.bfloat16),
    "decoder of 2 layers": functools.partial(decoder, 2),
    "decoder of 48 layers": functools.partial(decoder, 48),
}
