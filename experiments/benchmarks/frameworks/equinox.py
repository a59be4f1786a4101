"""The workloads in Equinox: its own layers, each a function of one example under `jax.vmap`, and one
`eqx.filter_jit` step with model, optimizer state and key donated. Images are channels first, as its layers ask.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.optimizers import optimizer_of
from experiments.benchmarks.measure import Built, training_step


def build(workload: str) -> Built:
    """Trains a network, `model(x, key) -> logits` of one example, on the workload's batch."""
    model, optimizer, batch = NETWORKS[workload](jax.random.key(0)), optimizer_of(workload), problems.batch(workload)
    if batch["x"].ndim == 4:
        batch["x"] = np.ascontiguousarray(batch["x"].transpose(0, 3, 1, 2))
    batch = jax.tree.map(jnp.asarray, batch)
    state = (model, optimizer.init(eqx.filter(model, eqx.is_inexact_array)), jax.random.key(1))
    count = sum(x.size for x in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))

    @eqx.filter_value_and_grad
    def loss_and_grads(model, batch, key):
        logits = jax.vmap(model)(batch["x"], jax.random.split(key, len(batch["x"])))
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()

    @eqx.filter_jit(donate="all-except-first")
    def update(batch, state):
        model, opt_state, key = state
        key, noise = jax.random.split(key)
        value, grads = loss_and_grads(model, batch, noise)
        updates, opt_state = optimizer.update(grads, opt_state, eqx.filter(model, eqx.is_inexact_array))
        return (eqx.apply_updates(model, updates), opt_state, key), value

    return Built(training_step(lambda state, batch: update(batch, state), state, batch), float, count)


class Mlp(eqx.Module):
    layers: list

    def __init__(self, key):
        k1, k2, k3 = jax.random.split(key, 3)
        first = [eqx.nn.Linear(784, 128, key=k1), eqx.nn.Lambda(jax.nn.relu), eqx.nn.Dropout(problems.MLP_DROPOUT)]
        second = [eqx.nn.Linear(128, 64, key=k2), eqx.nn.Lambda(jax.nn.relu)]
        self.layers = [*first, *second, eqx.nn.Linear(64, problems.CLASSES, key=k3)]

    def __call__(self, x, key):
        return eqx.nn.Sequential(self.layers)(x, key=key)


class Cnn(eqx.Module):
    layers: list

    def __init__(self, key):
        k1, k2, k3, k4 = jax.random.split(key, 4)
        relu, pool = eqx.nn.Lambda(jax.nn.relu), eqx.nn.MaxPool2d(2, 2)
        convolutions = [
            *(eqx.nn.Conv2d(3, 32, 3, padding="SAME", key=k1), relu, pool),
            *(eqx.nn.Conv2d(32, 64, 3, padding="SAME", key=k2), relu, pool),
        ]
        dense = [eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(64 * 8 * 8, 512, key=k3), relu]
        last = [eqx.nn.Dropout(problems.CNN_DROPOUT), eqx.nn.Linear(512, problems.CLASSES, key=k4)]
        self.layers = [*convolutions, *dense, *last]

    def __call__(self, x, key):
        return eqx.nn.Sequential(self.layers)(x, key=key)


class LastState(eqx.Module):
    cell: eqx.nn.LSTMCell
    out: eqx.nn.Linear

    def __init__(self, key):
        k1, k2 = jax.random.split(key)
        self.cell = eqx.nn.LSTMCell(problems.LSTM_FEATURES, problems.LSTM_HIDDEN, key=k1)
        self.out = eqx.nn.Linear(problems.LSTM_HIDDEN, problems.CLASSES, key=k2)

    def __call__(self, x, key):
        zeros = jnp.zeros(problems.LSTM_HIDDEN)
        (h, _), _ = jax.lax.scan(lambda carry, x: (self.cell(x, carry), None), (zeros, zeros), x)
        return self.out(h)


class Block(eqx.Module):
    """Pre-norm attention and MLP, over tokens."""

    norm1: eqx.nn.LayerNorm
    norm2: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    up: eqx.nn.Linear
    down: eqx.nn.Linear

    def __init__(self, width, heads, key):
        k1, k2, k3 = jax.random.split(key, 3)
        self.norm1, self.norm2 = eqx.nn.LayerNorm(width), eqx.nn.LayerNorm(width)
        biases = {f"use_{name}_bias": True for name in ("query", "key", "value", "output")}
        self.attention = eqx.nn.MultiheadAttention(heads, width, key=k1, **biases)
        self.up, self.down = eqx.nn.Linear(width, 4 * width, key=k2), eqx.nn.Linear(4 * width, width, key=k3)

    def __call__(self, x, mask):
        h = jax.vmap(self.norm1)(x)
        x = x + self.attention(h, h, h, mask)
        h = jax.nn.gelu(jax.vmap(self.up)(jax.vmap(self.norm2)(x)))
        return x + jax.vmap(self.down)(h)


class Gpt(eqx.Module):
    """The decoder, its read-out tied to the token table."""

    tokens: eqx.nn.Embedding
    positions: jax.Array
    blocks: list
    norm: eqx.nn.LayerNorm

    def __init__(self, size, key):
        k1, k2, k3 = jax.random.split(key, 3)
        self.tokens = eqx.nn.Embedding(weight=jax.random.normal(k1, (size.vocab, size.width)) * 0.02)
        self.positions = jax.random.normal(k2, (size.tokens, size.width)) * 0.02
        self.blocks = [Block(size.width, size.heads, k) for k in jax.random.split(k3, size.layers)]
        self.norm = eqx.nn.LayerNorm(size.width)

    def __call__(self, tokens, key):
        x = jax.vmap(self.tokens)(tokens) + self.positions
        mask = jnp.tril(jnp.ones((len(tokens), len(tokens)), bool))
        for block in self.blocks:
            x = block(x, mask)
        return jax.vmap(self.norm)(x) @ self.tokens.weight.T


class Tiny(eqx.Module):
    linears: list
    norms: list
    out: eqx.nn.Linear

    def __init__(self, key):
        *keys, last = jax.random.split(key, problems.TINY_LAYERS + 1)
        self.linears = [eqx.nn.Linear(problems.TINY_WIDTH, problems.TINY_WIDTH, key=k) for k in keys]
        self.norms = [eqx.nn.LayerNorm(problems.TINY_WIDTH) for _ in keys]
        self.out = eqx.nn.Linear(problems.TINY_WIDTH, problems.CLASSES, key=last)

    def __call__(self, x, key):
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = jax.nn.relu(norm(linear(x)))
        return self.out(x)


NETWORKS = {
    "mlp": Mlp,
    "cnn": Cnn,
    "lstm": LastState,
    "gpt": lambda key: Gpt(problems.DECODERS["gpt"], key),
    "tiny": Tiny,
    "deep": lambda key: Gpt(problems.DECODERS["deep"], key),
}
