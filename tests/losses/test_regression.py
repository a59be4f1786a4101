"""Regression losses against torch and Optax, in low precision, and with bad input."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch.nn.functional as F

from jnn.losses import absolute_error, huber_loss, squared_error
from tests.oracle import assert_matches_torch, configurations


def random_pair(rng):
    shape = tuple(rng.integers(1, 6, rng.integers(1, 4)))
    return [rng.normal(scale=3, size=shape).astype(np.float32) for _ in range(2)]


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 8)), ids=range(20))
def test_match_torch_and_optax(rng):
    delta = float(rng.uniform(0.2, 3))
    for ours, theirs, optaxs in [
        (squared_error, F.mse_loss, optax.losses.squared_error),
        (absolute_error, F.l1_loss, lambda x, y: jnp.abs(x - y)),
        (
            lambda x, y: huber_loss(x, y, delta=delta),
            lambda x, y, **kw: F.huber_loss(x, y, delta=delta, **kw),
            lambda x, y: optax.losses.huber_loss(x, y, delta=delta),
        ),
    ]:
        arrays = random_pair(rng)
        assert_matches_torch(ours, lambda x, y, f=theirs: f(x, y, reduction="none").mean(-1), arrays)
        np.testing.assert_allclose(ours(*map(jnp.asarray, arrays)), optaxs(*arrays).mean(-1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", [squared_error, absolute_error, huber_loss])
def test_half_precision_gives_float32_values(loss):
    x, y = (jnp.asarray(a) for a in random_pair(np.random.default_rng(1)))
    half = loss(x.astype(jnp.bfloat16), y)
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, loss(x.astype(jnp.bfloat16).astype(jnp.float32), y), rtol=1e-6)


@pytest.mark.parametrize("loss", [squared_error, absolute_error, huber_loss], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (
            jnp.ones((4, 1)),
            jnp.ones(4),
            ValueError,
            r"equal shapes, found predictions float32\[4,1\], targets float32\[4\]",
        ),
        (jnp.ones((4, 1), jnp.int32), jnp.ones((4, 1)), TypeError, r"floating-point input, found int32\[4,1\]"),
        (jnp.ones((0, 1)), jnp.ones((0, 1)), ValueError, r"at least one example, found the empty array float32\[0,1\]"),
        (jnp.ones(()), jnp.ones(()), ValueError, r"rank 1 or more, found float32\[\]"),
    ],
)
def test_bad_input_is_one_clear_error(loss, x, y, error, message):
    with pytest.raises(error, match=rf"{loss.__name__}: expected .*{message}"):
        loss(x, y)


def test_huber_needs_a_positive_delta():
    with pytest.raises(ValueError, match="huber_loss: expected delta > 0, found 0"):
        huber_loss(jnp.ones(1), jnp.ones(1), delta=0)
