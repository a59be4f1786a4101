"""The workloads in Flax NNX: its own layers, and `nnx.jit_partial` in tree mode with donated state.

That is the fastest of the loops its documentation offers: it flattens the model and the optimizer once,
where `nnx.jit` walks both at every step.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.benchmarks import problems
from experiments.benchmarks.measure import Built


def built(name: str, model: nnx.Module, optimizer: optax.GradientTransformation) -> Built:
    """Trains the model on the workload's batch."""
    batch = jax.tree.map(jnp.asarray, problems.batch(name))

    def update(model, optimizer, batch):
        def loss(model):
            return optax.softmax_cross_entropy_with_integer_labels(model(batch["x"]), batch["y"]).mean()

        value, grads = nnx.value_and_grad(loss)(model)
        optimizer.update(model, grads)
        return value

    count = sum(math.prod(p.shape) for p in jax.tree.leaves(nnx.state(model, nnx.Param)))
    state = nnx.Optimizer(model, optimizer, wrt=nnx.Param)
    bound = nnx.jit_partial(update, model, state, graph=False, donate_argnums=0)  # 0 is all that is bound
    return Built(lambda: bound(batch), float, count)


class Mlp(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.fc1, self.fc2 = nnx.Linear(784, 128, rngs=rngs), nnx.Linear(128, 64, rngs=rngs)
        self.out = nnx.Linear(64, problems.CLASSES, rngs=rngs)
        self.dropout = nnx.Dropout(problems.MLP_DROPOUT, rngs=rngs)

    def __call__(self, x):
        return self.out(nnx.relu(self.fc2(self.dropout(nnx.relu(self.fc1(x))))))


class Cnn(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.conv1, self.conv2 = nnx.Conv(3, 32, (3, 3), rngs=rngs), nnx.Conv(32, 64, (3, 3), rngs=rngs)
        self.fc = nnx.Linear(8 * 8 * 64, 512, rngs=rngs)
        self.out = nnx.Linear(512, problems.CLASSES, rngs=rngs)
        self.dropout = nnx.Dropout(problems.CNN_DROPOUT, rngs=rngs)

    def __call__(self, x):
        for conv in (self.conv1, self.conv2):
            x = nnx.max_pool(nnx.relu(conv(x)), (2, 2), strides=(2, 2))
        return self.out(self.dropout(nnx.relu(self.fc(x.reshape(len(x), -1)))))


class LastState(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        cell = nnx.OptimizedLSTMCell(problems.LSTM_FEATURES, problems.LSTM_HIDDEN, rngs=rngs)
        self.rnn = nnx.RNN(cell)
        self.out = nnx.Linear(problems.LSTM_HIDDEN, problems.CLASSES, rngs=rngs)

    def __call__(self, x):
        return self.out(self.rnn(x)[:, -1])


class Block(nnx.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, width: int, heads: int, rngs: nnx.Rngs):
        self.norm1, self.norm2 = nnx.LayerNorm(width, rngs=rngs), nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(heads, width, decode=False, rngs=rngs)
        self.up, self.down = nnx.Linear(width, 4 * width, rngs=rngs), nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x):
        x = x + self.attention(self.norm1(x), is_causal=True)
        return x + self.down(nnx.gelu(self.up(self.norm2(x))))


class Gpt(nnx.Module):
    """The decoder, its read-out tied to the token table."""

    def __init__(self, size: problems.Decoder, rngs: nnx.Rngs):
        init = nnx.initializers.normal(0.02)
        self.tokens = nnx.Embed(size.vocab, size.width, embedding_init=init, rngs=rngs)
        self.positions = nnx.Embed(size.tokens, size.width, embedding_init=init, rngs=rngs)
        self.blocks = nnx.List([Block(size.width, size.heads, rngs) for _ in range(size.layers)])
        self.norm = nnx.LayerNorm(size.width, rngs=rngs)

    def __call__(self, tokens):
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.tokens.attend(self.norm(x))


class Tiny(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        width, layers = problems.TINY_WIDTH, range(problems.TINY_LAYERS)
        self.linears = nnx.List([nnx.Linear(width, width, rngs=rngs) for _ in layers])
        self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in layers])
        self.out = nnx.Linear(width, problems.CLASSES, rngs=rngs)

    def __call__(self, x):
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = nnx.relu(norm(linear(x)))
        return self.out(x)


def decoder(name: str) -> Built:
    optimizer = optax.adamw(problems.LEARNING_RATE, weight_decay=problems.WEIGHT_DECAY)
    return built(name, Gpt(problems.DECODERS[name], nnx.Rngs(0)), optimizer)


def by_adam(name: str, model: type) -> Built:
    return built(name, model(nnx.Rngs(0)), optax.adam(problems.LEARNING_RATE))


WORKLOADS = {
    "mlp": functools.partial(by_adam, "mlp", Mlp),
    "cnn": functools.partial(by_adam, "cnn", Cnn),
    "lstm": functools.partial(by_adam, "lstm", LastState),
    "gpt": functools.partial(decoder, "gpt"),
    "tiny": functools.partial(by_adam, "tiny", Tiny),
    "deep": functools.partial(decoder, "deep"),
}
