"""linear against torch, the two formulations against each other, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import backend, init
from jnn.layers import linear, linear_spec
from tests.oracle import assert_matches_torch, configurations


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2, 7)), ids=range(20))
def test_matches_torch(rng):
    d_in, d_out = rng.integers(1, 20, 2)
    leading = tuple(rng.integers(1, 5, rng.integers(0, 4)))
    arrays = [rng.normal(size=s).astype(np.float32) for s in [(*leading, d_in), (d_in, d_out), (d_out,)]]
    assert_matches_torch(
        lambda x, w, b: linear({"w": w, "b": b}, x),
        lambda x, w, b: torch.nn.functional.linear(x, w.T, b),
        arrays,
    )


def test_formulations_agree():
    p = init(linear_spec((2, 3), (4, 5), axes=("a", "b", "c", "d")), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (6, 7, 2, 3))
    flat = linear(p, x, in_axes=2)
    with backend.target("tpu"):
        np.testing.assert_allclose(linear(p, x, in_axes=2), flat, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (jnp.ones((4, 3)), ValueError, r"linear: its parameters expect input \[...,5\], found float32\[4,3\]"),
        (jnp.ones((4, 5), jnp.int32), TypeError, r"linear: expected floating-point input, found int32\[4,5\]"),
        (jnp.ones((0, 5)), ValueError, r"linear: expected at least one example"),
        (jnp.ones(()), ValueError, r"linear: expected an array of rank 1 or more, found float32\[\]"),
    ],
)
def test_bad_input_is_one_clear_error(x, error, message):
    with pytest.raises(error, match=message):
        linear(init(linear_spec(5, 2), jax.random.key(0)), x)
