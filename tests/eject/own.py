"""A model of a user's: names that jnn has too, a table, a class, a local import, checks that are the user's own."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from jnn import layers
from jnn.layers import conv as convolution
from jnn.train import LossOutput, create_state, make_step

WIDTHS = {"small": 3, "large": 5}  # channels, by size


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes."""

    size: str = "small"
    classes: int = 2

    @property
    def width(self) -> int:
        return WIDTHS[self.size]


def linear(x: jax.Array, factor: float) -> jax.Array:
    """Not the layer of this name."""
    return factor * x


def network_spec(config: Config):
    """Declares the network."""
    return {
        "conv": layers.conv_spec(1, config.width, (3, 3)),
        "scale": jnn.Param((), jnn.initializers.ones, ()),
        "out": layers.linear_spec(config.width, config.classes),
    }


def network(p, x, *, key, conv: float = 2.0):
    """A network of images.

    Its second paragraph is not kept.
    """
    from jnn.activations import mish

    if x.ndim < 3:
        raise ValueError("network: images have three axes.")
    # `conv` is a number here, not the layer
    h = mish(linear(convolution(p["conv"], x), conv) * p["scale"])
    pooled = [jnp.mean(jnp.asarray(h), axis) for axis in (-2,)]
    return layers.linear(p["out"], layers.dropout(pooled[0].mean(-2), 0.5, key=key))


def loss(params, batch, ctx):
    """Of each row."""
    logits = network(params, batch["x"], key=ctx.key)
    return LossOutput(jnn.losses.cross_entropy(logits, batch["y"]))


def trained(steps: int):
    """Parameters after a few steps."""
    optimizer = optax.adam(1e-2)
    state = create_state(jnn.init(network_spec(Config()), jax.random.key(0)), optimizer)
    step = make_step(loss, optimizer, key=jax.random.key(1))
    batch = {"x": np.random.default_rng(0).normal(size=(4, 6, 6, 1)).astype(np.float32), "y": np.arange(4) % 2}
    for _ in range(steps):
        state, _ = step(state, batch)
    return state.params
