"""A tree of every kind of leaf, whether another is the same, and the steps that a folder holds."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jnn.train.checkpoint import diff
from tests.train.dtypes import DTYPES, of_every_bit


@flax.struct.dataclass
class Anything:
    """Not a `TrainState`: a tree with a step."""

    step: jax.Array
    leaves: dict


def anything():
    leaves = {name: of_every_bit(name) for name in DTYPES}
    keys = {name: jax.random.split(jax.random.key(3, impl=name), 4) for name in ("threefry2x32", "rbg")}
    numpy = {"numpy": np.arange(3, dtype=np.int16), "scalar": np.float32(2.5)}
    empty = {
        "empty": jnp.zeros((0, 3), jnp.bfloat16),
        "none": None,
        "nothing": {},
        "list": [jnp.ones(1), (jnp.ones(2),)],
    }
    return Anything(jnp.int32(5), leaves | keys | numpy | empty | {"name.with/slash": jnp.ones(2)})


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    assert diff(found, expected) == []


def held(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
