"""The workloads in Haiku: its own layers, transformed with state, and one jitted step whose state is donated."""

from __future__ import annotations

import haiku as hk
import jax
import jax.numpy as jnp

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.optimizers import mean_loss, train
from experiments.benchmarks.measure import Built


def build(workload: str) -> Built:
    """Trains a network on the workload's batch."""
    model = hk.transform_with_state(NETWORKS[workload])
    batch = jax.tree.map(jnp.asarray, problems.batch(workload))
    params, stats = model.init(jax.random.key(0), batch["x"])

    def loss(params, stats, batch, key):
        outputs, stats = model.apply(params, stats, key, batch["x"])
        return mean_loss(outputs, batch["y"]), stats

    return train(workload, loss, params, stats, batch, seed=1)


def dropout(rate, x):
    return hk.dropout(hk.next_rng_key(), rate, x)


def layer_norm(x):
    return hk.LayerNorm(-1, create_scale=True, create_offset=True)(x)


def mlp(x):
    h = dropout(problems.MLP_DROPOUT, jax.nn.relu(hk.Linear(128)(x)))
    return hk.Linear(problems.CLASSES)(jax.nn.relu(hk.Linear(64)(h)))


def cnn(x):
    for channels in (32, 64):
        x = hk.max_pool(jax.nn.relu(hk.Conv2D(channels, 3)(x)), (2, 2, 1), (2, 2, 1), "VALID")
    h = dropout(problems.CNN_DROPOUT, jax.nn.relu(hk.Linear(512)(hk.Flatten()(x))))
    return hk.Linear(problems.CLASSES)(h)


def lstm(x):
    core = hk.LSTM(problems.LSTM_HIDDEN)
    outputs, _ = hk.dynamic_unroll(core, x, core.initial_state(len(x)), time_major=False)
    return hk.Linear(problems.CLASSES)(outputs[:, -1])


def tiny(x):
    for _ in range(problems.TINY_LAYERS):
        x = jax.nn.relu(layer_norm(hk.Linear(problems.TINY_WIDTH)(x)))
    return hk.Linear(problems.CLASSES)(x)


def gpt(tokens):
    size = problems.DECODERS["gpt"]
    d, small, init = size.width, hk.initializers.RandomNormal(0.02), hk.initializers.VarianceScaling(1.0)
    table = hk.Embed(size.vocab, d, w_init=small)
    x = table(tokens) + hk.get_parameter("positions", (size.tokens, d), init=small)
    mask = jnp.tril(jnp.ones((1, 1, size.tokens, size.tokens)))
    for _ in range(size.layers):
        h = layer_norm(x)
        x = x + hk.MultiHeadAttention(size.heads, d // size.heads, w_init=init, model_size=d)(h, h, h, mask)
        x = x + hk.Linear(d)(jax.nn.gelu(hk.Linear(4 * d)(layer_norm(x))))
    return layer_norm(x) @ table.embeddings.T


def unit(x, channels, kernel=1, stride=1, groups=1):
    how = {"padding": [(kernel // 2,) * 2] * 2, "feature_group_count": groups, "with_bias": False}
    h = hk.Conv2D(channels, kernel, stride, **how)(x)
    norm = hk.BatchNorm(create_scale=True, create_offset=True, decay_rate=problems.STATISTICS_MOMENTUM)
    return norm(h, is_training=True)


def mobilenet(x):
    size = problems.MOBILENET
    x = jax.nn.relu6(unit(x, size.stem, 3))
    for width, stride in zip(size.widths, size.strides, strict=True):
        wide = size.widen * x.shape[-1]
        h = jax.nn.relu6(unit(jax.nn.relu6(unit(x, wide)), wide, 3, stride, wide))
        h = unit(h, width)
        x = x + h if x.shape == h.shape else h
    return hk.Linear(problems.CLASSES)(jax.nn.relu6(unit(x, size.last)).mean((1, 2)))


NETWORKS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "tiny": tiny, "gpt": gpt, "mobilenet": mobilenet}
