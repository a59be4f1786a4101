"""The margin loss of capsules against its formula in torch; bad input."""

import jax
import jax.numpy as jnp
import pytest
import torch

from jnn import losses
from tests.losses.exact import assert_exact, leading
from tests.oracle import configurations


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_the_margin_loss_is_the_papers(rng):
    """With its margins and with others; lengths from nothing to beyond 1."""
    shape, classes, d = leading(rng), *rng.integers(1, 6, 2).tolist()
    capsules, labels = rng.normal(size=(*shape, classes, d), scale=0.7 / d**0.5), rng.integers(0, classes, shape)
    how = {"present": rng.uniform(0.6, 1), "absent": rng.uniform(0, 0.4), "down": rng.uniform(0.1, 1)}
    present, absent, down = how.values() if rng.integers(2) else (0.9, 0.1, 0.5)

    def theirs(v, y):
        size, true = v.norm(dim=-1), torch.nn.functional.one_hot(y, classes) == 1
        short, long = (present - size).clamp(min=0), (size - absent).clamp(min=0)
        return torch.where(true, short**2, down * long**2).sum(-1)

    given = how if (present, absent, down) == tuple(how.values()) else {}
    assert_exact(lambda v, y: losses.capsule_margin_loss(v, y, **given), theirs, capsules, labels)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_several_classes_at_once_are_the_papers_indicator(rng):
    shape, classes, d = leading(rng), *rng.integers(1, 6, 2).tolist()
    capsules, there = rng.normal(size=(*shape, classes, d), scale=0.7 / d**0.5), rng.random((*shape, classes)) < 0.4

    def theirs(v, there):
        size = v.norm(dim=-1)
        return torch.where(there, (0.9 - size).clamp(min=0) ** 2, 0.5 * (size - 0.1).clamp(min=0) ** 2).sum(-1)

    assert_exact(losses.capsule_margin_loss, theirs, capsules, there)


def test_a_capsule_of_no_length_has_a_finite_gradient():
    assert jnp.isfinite(jax.grad(lambda v: losses.capsule_margin_loss(v, jnp.array(0)))(jnp.zeros((3, 2)))).all()


def test_a_label_that_under_jit_is_out_of_range_is_nan():
    assert jnp.isnan(jax.jit(losses.capsule_margin_loss)(jnp.ones((3, 2)), jnp.array(3)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.capsule_margin_loss(jnp.ones((2, 3, 4)), jnp.array(0)), ValueError, r"expected labels \(2,\)"),
        (
            lambda: losses.capsule_margin_loss(jnp.ones((2, 3, 4)), jnp.ones((2, 4), bool)),
            ValueError,
            "capsule_margin_loss: .*labels",
        ),
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
