"""A spec of layers, a stack and heads; meshes and rules to place it by."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

import jnn
from jnn import Param
from jnn.initializers import he_normal
from jnn.layers import linear_spec

KEY = jax.random.key(0)
RULES = {"embed": "x", "hidden": ("y",)}


def mesh_of(**axes):
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(AxisType.Auto,) * len(axes))


def spec_of(embed=64, hidden=32):
    return {
        "fc": linear_spec(embed, hidden),
        "deep": jnn.stack(linear_spec(hidden, hidden, axes=("hidden", "wide")), 3),
        "heads": {
            "w": Param(
                (embed, 4, 8), he_normal, ("embed", "heads", "head"), jnp.bfloat16, ("embed",), ("heads", "head")
            )
        },
    }


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x, np.float32), np.asarray(y, np.float32))
