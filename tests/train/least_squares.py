"""A linear map, its state and loss, and one batch that it fits."""

import jax
import numpy as np
import optax

import jnn
from jnn.layers import linear, linear_spec
from jnn.train import LossOutput, create_state

KEY = jax.random.key(0)
SPEC, SGD = linear_spec(3, 1), optax.sgd(0.1)
X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
BATCH = {"x": X, "y": X.sum(1, keepdims=True)}


def state(**options):
    return create_state(jnn.init(SPEC, KEY), SGD, **options)


def loss(params, batch, ctx):
    return LossOutput(jnn.losses.squared_error(linear(params, batch["x"]), batch["y"]))
