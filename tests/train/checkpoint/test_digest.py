"""The digest: it differs wherever a tree does, and not by the order of keys or of memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.train import digest
from tests.train.checkpoint.trees import anything


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.array([1.0, 3.0], np.float32)},
        {"b": np.array([1.0, 2.0], np.float32)},
        {"a": np.array([1.0, 2.0], np.float64)},
        {"a": np.array([[1.0, 2.0]], np.float32)},
        {"a": np.array([1.0, np.nextafter(np.float32(2), np.float32(3))], np.float32)},
    ],
    ids=["value", "path", "dtype", "shape", "last bit"],
)
def test_a_digest_differs_wherever_a_tree_does(other):
    assert digest({"a": np.array([1.0, 2.0], np.float32)}) != digest(other)


def test_a_digest_of_every_kind_of_leaf():
    other = lambda x: jax.random.split(x[0], 4) if str(x.dtype).startswith("key") else x
    assert digest(anything()) == digest(jax.tree.map(jnp.asarray, anything()))
    assert digest(anything()) != digest(jax.tree.map(other, anything()))


def test_a_digest_tells_a_scalar_from_a_vector_of_one():
    assert digest({"a": np.float32(1)}) != digest({"a": np.ones(1, np.float32)})


def test_a_digest_ignores_the_order_of_keys_and_of_memory():
    values = np.arange(6.0).reshape(2, 3)
    assert digest({"a": values, "b": values}) == digest({"b": values.T.copy().T, "a": values})
