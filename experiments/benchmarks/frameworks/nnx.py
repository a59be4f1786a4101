"""The workloads in Flax NNX: its own layers, and `nnx.jit_partial` in tree mode with donated state.

That is the fastest of the loops its documentation offers: it flattens the model and the optimizer once,
where `nnx.jit` walks both at every step.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.optimizers import mean_loss, optimizer_of
from experiments.benchmarks.measure import Built


def build(workload: str) -> Built:
    """Trains a network on the workload's batch."""
    model, batch = NETWORKS[workload](nnx.Rngs(0)), jax.tree.map(jnp.asarray, problems.batch(workload))

    def update(model, optimizer, batch):
        def loss(model):
            return mean_loss(model(batch["x"]), batch["y"])

        value, grads = nnx.value_and_grad(loss)(model)
        optimizer.update(model, grads)
        return value

    count = sum(math.prod(p.shape) for p in jax.tree.leaves(nnx.state(model, nnx.Param)))
    state = nnx.Optimizer(model, optimizer_of(workload), wrt=nnx.Param)
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

    def __init__(self, size: problems.Transformer, rngs: nnx.Rngs, *, causal: bool):
        width, self.causal = size.width, causal
        self.norm1, self.norm2 = nnx.LayerNorm(width, rngs=rngs), nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(size.heads, width, decode=False, rngs=rngs)
        self.up, self.down = nnx.Linear(width, 4 * width, rngs=rngs), nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x):
        x = x + self.attention(self.norm1(x), is_causal=self.causal)
        return x + self.down(nnx.gelu(self.up(self.norm2(x))))


class Gpt(nnx.Module):
    """The decoder, its read-out tied to the token table."""

    def __init__(self, size: problems.Transformer, rngs: nnx.Rngs):
        init = nnx.initializers.normal(0.02)
        self.tokens = nnx.Embed(size.vocab, size.width, embedding_init=init, rngs=rngs)
        self.positions = nnx.Embed(size.tokens, size.width, embedding_init=init, rngs=rngs)
        self.blocks = nnx.List([Block(size, rngs, causal=True) for _ in range(size.layers)])
        self.norm = nnx.LayerNorm(size.width, rngs=rngs)

    def __call__(self, tokens):
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.tokens.attend(self.norm(x))


class ViT(nnx.Module):
    """Patches and a class token, from which the logits are read."""

    def __init__(self, rngs: nnx.Rngs):
        size, c, patch = problems.VIT, problems.PROBLEMS["vit"].shape[-1], (problems.PATCH, problems.PATCH)
        self.patch = nnx.Conv(c, size.width, patch, patch, padding="VALID", rngs=rngs)
        self.token = nnx.Param(jnp.zeros((1, 1, size.width)))
        self.positions = nnx.Param(jax.random.normal(rngs.params(), (size.tokens + 1, size.width)) * 0.02)
        self.blocks = nnx.List([Block(size, rngs, causal=False) for _ in range(size.layers)])
        self.norm = nnx.LayerNorm(size.width, rngs=rngs)
        self.out = nnx.Linear(size.width, problems.CLASSES, rngs=rngs)

    def __call__(self, x):
        h = self.patch(x).reshape(len(x), -1, self.token.shape[-1])
        h = jnp.concatenate([jnp.broadcast_to(self.token[...], (len(x), *self.token.shape[1:])), h], 1)
        h = h + self.positions[...]
        for block in self.blocks:
            h = block(h)
        return self.out(self.norm(h)[:, 0])


class Unit(nnx.Module):
    """A convolution and batch norm."""

    def __init__(self, c_in: int, c_out: int, kernel: int, rngs: nnx.Rngs, stride: int = 1, groups: int = 1):
        pads = [(kernel // 2,) * 2] * 2
        how = {"padding": pads, "feature_group_count": groups, "use_bias": False}
        self.conv = nnx.Conv(c_in, c_out, (kernel, kernel), stride, rngs=rngs, **how)
        self.norm = nnx.BatchNorm(c_out, momentum=problems.STATISTICS_MOMENTUM, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.conv(x))


class MobileNet(nnx.Module):
    """Inverted residuals."""

    def __init__(self, rngs: nnx.Rngs):
        size, c, blocks = problems.MOBILENET, problems.MOBILENET.stem, []
        self.stem = Unit(3, c, 3, rngs)
        for width, stride in zip(size.widths, size.strides, strict=True):
            wide = size.widen * c
            parts = [Unit(c, wide, 1, rngs), Unit(wide, wide, 3, rngs, stride, wide), Unit(wide, width, 1, rngs)]
            blocks.append(nnx.List(parts))
            c = width
        self.blocks, self.last = nnx.List(blocks), Unit(c, size.last, 1, rngs)
        self.out = nnx.Linear(size.last, problems.CLASSES, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu6(self.stem(x))
        for expand, depthwise, project in self.blocks:
            h = project(nnx.relu6(depthwise(nnx.relu6(expand(x)))))
            x = x + h if x.shape == h.shape else h
        return self.out(nnx.relu6(self.last(x)).mean((1, 2)))


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


NETWORKS = {
    "mlp": Mlp,
    "cnn": Cnn,
    "lstm": LastState,
    "gpt": lambda rngs: Gpt(problems.DECODERS["gpt"], rngs),
    "tiny": Tiny,
    "deep": lambda rngs: Gpt(problems.DECODERS["deep"], rngs),
    "mobilenet": MobileNet,
    "vit": ViT,
}
