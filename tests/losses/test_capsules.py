"""The margin loss of capsules by hand; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import losses


def test_the_margin_loss_is_the_papers():
    lengths = [0.95, 0.3, 0.05]
    said = jnp.array(lengths)[:, None] * jnp.array([[0.6, -0.8]])
    found = [losses.capsule_margin_loss(said, jnp.array(label)).item() for label in range(3)]
    wanted = [
        sum(max(0, 0.9 - v) ** 2 if i == label else 0.5 * max(0, v - 0.1) ** 2 for i, v in enumerate(lengths))
        for label in range(3)
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert jnp.isfinite(jax.grad(lambda v: losses.capsule_margin_loss(v, jnp.array(0)))(jnp.zeros((3, 2)))).all()


def test_a_label_that_under_jit_is_out_of_range_is_nan():
    assert jnp.isnan(jax.jit(losses.capsule_margin_loss)(jnp.ones((3, 2)), jnp.array(3)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.capsule_margin_loss(jnp.ones((2, 3, 4)), jnp.array(0)), ValueError, r"expected labels \(2,\)"),
        (
            lambda: losses.capsule_margin_loss(jnp.ones((3, 4)), jnp.array(0.0)),
            TypeError,
            "capsule_margin_loss: expected integers",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
