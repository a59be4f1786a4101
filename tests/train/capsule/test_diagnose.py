"""What is said of a bad step: what is known, and nothing that is not."""

import itertools
import re

import jax.numpy as jnp
import numpy as np
import pytest

from jnn.train.capsule._diagnose import diagnose

FINE = {"x": np.ones((3, 2), np.float32), "y": np.zeros(3, np.int32)}
GUESSES = re.compile("learning rate|clip_norm|grew")


def test_every_array_of_the_batch_that_is_not_finite_is_named():
    batch = {"x": np.array([[1.0], [np.nan]]), "y": {"z": jnp.array([np.inf, 2], jnp.bfloat16)}, "n": np.arange(2)}
    assert diagnose(batch) == (
        "batch['x'] is not finite in 1 of 2 values, first in row 1, and "
        "batch['y']['z'] is not finite in 1 of 2 values, first in row 0"
    )


@pytest.mark.parametrize(
    "values",
    [np.array(np.nan), np.array([1, 1e300]), np.array([np.nan + 1j]), np.array([np.nan], jnp.float8_e4m3fn)],
    ids=["a scalar", "too large for float32", "complex", "of eight bits"],
)
def test_of_any_dtype_and_shape_as_the_step_sees_it(values):
    assert diagnose({"x": values}).startswith("batch['x'] is not finite in 1 of")


@pytest.mark.parametrize(("step", "before"), list(itertools.product((0, 5), (None, True, False))))
def test_of_a_loss_that_is_not_finite_no_rate_is_blamed(step, before):
    said = diagnose(FINE, step=step, loss=float("nan"), before=before)
    assert not GUESSES.search(said)
    assert ("initial" in said) == (before is False or (before is None and step == 0))
    assert ("not known without checkpoints" in said) == (before is None and step > 0)
    assert ("log, division, root or exp" in said) == (before is not False)


def test_of_an_update_both_are_named_and_of_a_spike_nothing_is_guessed():
    assert "the loss is finite: a root or a norm at 0" in diagnose(FINE, step=3, loss=None, before=True)
    assert diagnose(FINE, step=3, loss=1e9) == "its batch is finite"
