"""The workloads in Flax Linen: its own layers, and one jitted step whose state is donated, as its examples have it."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.optimizers import mean_loss, train
from experiments.benchmarks.measure import Built


def build(workload: str) -> Built:
    """Trains a network on the workload's batch."""
    model = NETWORKS[workload]()
    batch = jax.tree.map(jnp.asarray, problems.batch(workload))
    variables = model.init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, batch["x"])
    params, stats = variables["params"], variables.get("batch_stats", {})

    def loss(params, stats, batch, key):
        variables, noise = {"params": params, "batch_stats": stats}, {"dropout": key}
        outputs, changed = model.apply(variables, batch["x"], rngs=noise, mutable=["batch_stats"])
        return mean_loss(outputs, batch["y"]), changed.get("batch_stats", {})

    return train(workload, loss, params, stats, batch, seed=2)


class Mlp(nn.Module):
    @nn.compact
    def __call__(self, x):
        h = nn.Dropout(problems.MLP_DROPOUT, deterministic=False)(nn.relu(nn.Dense(128)(x)))
        return nn.Dense(problems.CLASSES)(nn.relu(nn.Dense(64)(h)))


class Cnn(nn.Module):
    @nn.compact
    def __call__(self, x):
        for channels in (32, 64):
            x = nn.max_pool(nn.relu(nn.Conv(channels, (3, 3))(x)), (2, 2), (2, 2))
        h = nn.relu(nn.Dense(512)(x.reshape(len(x), -1)))
        return nn.Dense(problems.CLASSES)(nn.Dropout(problems.CNN_DROPOUT, deterministic=False)(h))


class LastState(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(problems.CLASSES)(nn.RNN(nn.OptimizedLSTMCell(problems.LSTM_HIDDEN))(x)[:, -1])


class Tiny(nn.Module):
    @nn.compact
    def __call__(self, x):
        for _ in range(problems.TINY_LAYERS):
            x = nn.relu(nn.LayerNorm()(nn.Dense(problems.TINY_WIDTH)(x)))
        return nn.Dense(problems.CLASSES)(x)


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    size: problems.Transformer

    @nn.compact
    def __call__(self, x, mask=None):
        x = x + nn.MultiHeadDotProductAttention(self.size.heads)(nn.LayerNorm()(x), mask=mask)
        return x + nn.Dense(self.size.width)(nn.gelu(nn.Dense(4 * self.size.width)(nn.LayerNorm()(x))))


class Gpt(nn.Module):
    """The decoder, its read-out tied to the token table."""

    size: problems.Transformer

    @nn.compact
    def __call__(self, tokens):
        small = nn.initializers.normal(0.02)
        table = nn.Embed(self.size.vocab, self.size.width, embedding_init=small)
        x = table(tokens) + self.param("positions", small, (self.size.tokens, self.size.width))
        for _ in range(self.size.layers):
            x = Block(self.size)(x, nn.make_causal_mask(tokens))
        return table.attend(nn.LayerNorm()(x))


class ViT(nn.Module):
    """Patches and a class token, from which the logits are read."""

    size: problems.Transformer

    @nn.compact
    def __call__(self, x):
        d, patch = self.size.width, (problems.PATCH, problems.PATCH)
        h = nn.Conv(d, patch, patch, "VALID")(x).reshape(len(x), -1, d)
        first = jnp.broadcast_to(self.param("class", nn.initializers.zeros, (d,)), (len(x), 1, d))
        positions = self.param("positions", nn.initializers.normal(0.02), (self.size.tokens + 1, d))
        h = jnp.concatenate([first, h], 1) + positions
        for _ in range(self.size.layers):
            h = Block(self.size)(h)
        return nn.Dense(problems.CLASSES)(nn.LayerNorm()(h)[:, 0])


class MobileNet(nn.Module):
    """Inverted residuals."""

    size: problems.MobileNet

    @nn.compact
    def __call__(self, x):
        def unit(x, channels, kernel=1, stride=1, groups=1):
            pads = [(kernel // 2,) * 2] * 2
            how = {"padding": pads, "feature_group_count": groups, "use_bias": False}
            h = nn.Conv(channels, (kernel, kernel), stride, **how)(x)
            return nn.BatchNorm(use_running_average=False, momentum=problems.STATISTICS_MOMENTUM)(h)

        x = nn.relu6(unit(x, self.size.stem, 3))
        for width, stride in zip(self.size.widths, self.size.strides, strict=True):
            wide = self.size.widen * x.shape[-1]
            h = nn.relu6(unit(nn.relu6(unit(x, wide)), wide, 3, stride, wide))
            h = unit(h, width)
            x = x + h if x.shape == h.shape else h
        return nn.Dense(problems.CLASSES)(nn.relu6(unit(x, self.size.last)).mean((1, 2)))


NETWORKS = {
    "mlp": Mlp,
    "cnn": Cnn,
    "lstm": LastState,
    "tiny": Tiny,
    "gpt": lambda: Gpt(problems.DECODERS["gpt"]),
    "mobilenet": lambda: MobileNet(problems.MOBILENET),
    "vit": lambda: ViT(problems.VIT),
}
