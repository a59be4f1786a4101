"""Two networks, and data of which one may make what the other tells apart."""

import jax
import numpy as np

from jnn.models import mlp_spec

KEY = jax.random.key(0)
SPECS = {"generator": mlp_spec((2, 8, 2)), "critic": mlp_spec((2, 8, 1))}


def real(rows=48):
    x = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    return {"x": x + np.float32([2, -1])}
