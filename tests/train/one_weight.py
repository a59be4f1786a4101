"""A model of one weight, a loss of it, and its state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jnn.train import LossOutput, create_state

KEY, SGD = jax.random.key(0), optax.sgd(0.1)
ROWS = {"x": np.ones(8, np.float32)}


def loss(params, batch, ctx):
    return LossOutput(params["w"] * batch["x"])


def state(**options):
    return create_state({"w": jnp.ones(())}, SGD, **options)
