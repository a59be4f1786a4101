"""The workloads in jnn: layers side by side with their specs, `jnn.train.make_step`, equal layers stacked and scanned.

`WORKLOADS_X16` are the same with sixteen updates a call.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments.benchmarks import problems
from experiments.benchmarks.measure import Built
from jnn import models
from jnn.layers import layer_norm, layer_norm_spec, linear, linear_spec, lstm_cell, lstm_cell_spec, rnn
from jnn.losses import cross_entropy
from jnn.train import LossOutput, create_state, make_step

adam = optax.adam(problems.LEARNING_RATE)


def built(name: str, spec, apply, optimizer: optax.GradientTransformation, *, calls: int = 1) -> Built:
    """Trains `apply(params, x, key) -> logits` on the workload's batch, `calls` updates a call."""
    batch = problems.batch(name)
    if calls > 1:
        batch = {k: np.broadcast_to(v, (calls, *v.shape)) for k, v in batch.items()}
    batch = jax.tree.map(jnp.asarray, batch)

    def loss(params, batch, ctx):
        return LossOutput(cross_entropy(apply(params, batch["x"], ctx.key), batch["y"]))

    update = make_step(loss, optimizer, jax.random.key(1), steps_per_call=calls)
    state = create_state(jnn.init(spec, jax.random.key(0)), optimizer)

    def step():
        nonlocal state
        state, metrics = update(state, batch)
        return metrics["loss"]

    return Built(step, last_loss, jnn.count_params(spec), updates=calls)


def last_loss(mean) -> float:
    """The last mean of one or several steps."""
    total, weight = (np.ravel(sums)[-1] for sums in mean)
    return float(total / weight)


def mlp(calls: int = 1) -> Built:
    def apply(p, x, key):
        return models.mlp(p, x, key=key, rate=(problems.MLP_DROPOUT, 0.0))

    return built("mlp", models.mlp_spec((784, 128, 64, problems.CLASSES)), apply, adam, calls=calls)


def cnn() -> Built:
    def apply(p, x, key):
        return models.cnn(p, x, key=key, rate=problems.CNN_DROPOUT)

    return built("cnn", models.cnn_spec((32, 32, 3), (32, 64), 512, problems.CLASSES), apply, adam)


def tiny(calls: int = 1) -> Built:
    width = problems.TINY_WIDTH
    layer = {"fc": linear_spec(width, width), "norm": layer_norm_spec(width)}
    spec = {"layers": jnn.stack(layer, problems.TINY_LAYERS), "out": linear_spec(width, problems.CLASSES)}

    def apply(p, x, key):
        def one(h, p):
            return jax.nn.relu(layer_norm(p["norm"], linear(p["fc"], h))), None

        # layers this small are quicker as one straight piece of code than as a loop; the stack stays one array a leaf
        return linear(p["out"], jax.lax.scan(one, x, p["layers"], unroll=True)[0])

    return built("tiny", spec, apply, adam, calls=calls)


def lstm() -> Built:
    spec = {
        "lstm": lstm_cell_spec(problems.LSTM_FEATURES, problems.LSTM_HIDDEN),
        "out": linear_spec(problems.LSTM_HIDDEN, problems.CLASSES),
    }

    def apply(p, x, key):
        outputs, _ = rnn(lstm_cell, p["lstm"], x)
        return linear(p["out"], outputs[:, -1])

    return built("lstm", spec, apply, adam)


def decoder(name: str) -> Built:
    size = problems.DECODERS[name]
    widths = {"layers": size.layers, "heads": size.heads, "embed": size.width}
    spec = models.transformer_spec(size.vocab, size.tokens, **widths)

    def apply(p, tokens, key):
        return models.transformer(p, tokens, key=None)

    return built(name, spec, apply, optax.adamw(problems.LEARNING_RATE, weight_decay=problems.WEIGHT_DECAY))


WORKLOADS = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
    "gpt": functools.partial(decoder, "gpt"),
    "tiny": tiny,
    "deep": functools.partial(decoder, "deep"),
}
WORKLOADS_X16 = {"mlp": functools.partial(mlp, calls=16), "tiny": functools.partial(tiny, calls=16)}
