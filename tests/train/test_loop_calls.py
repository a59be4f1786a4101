"""fit with a step that makes several updates in a call: the same run, in multiples of them."""

import functools

import jax
import numpy as np
import pytest

from jnn.data import Batches
from jnn.train import Checkpoints, digest, fit
from tests.train import tiny


def test_steps_per_call_equals_single_steps():
    alone, history = tiny.train()
    grouped, grouped_history = tiny.train(steps_per_call=5)
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(grouped), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for a, b in zip(history, grouped_history, strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5)


def test_resumed_equals_uninterrupted_with_steps_per_call(tmp_path):
    whole, history = tiny.train(steps_per_call=5)
    for steps in (30, tiny.STEPS):
        with Checkpoints(tmp_path) as checkpoints:
            state, rows = tiny.train(steps=steps, steps_per_call=5, checkpoints=checkpoints)
    assert digest(state) == digest(whole)
    assert rows == history


@pytest.mark.parametrize(("steps", "every"), [(61, 10), (60, 12), (60, 0)])
def test_steps_must_be_multiples_of_steps_per_call(steps, every):
    with pytest.raises(
        ValueError, match=rf"fit: steps={steps} and every={every} must be positive multiples of .*steps_per_call=5"
    ):
        fit(tiny.step(5), tiny.state(), Batches(tiny.arrays(), 8, seed=3), steps=steps, every=every)


@pytest.mark.parametrize("calls", [None, 2.0, 0, True])
def test_what_a_step_says_of_its_updates_is_a_number(calls):
    step = functools.partial(tiny.step())
    step.steps_per_call = calls
    with pytest.raises(
        ValueError, match=rf"fit: expected the step's attribute steps_per_call of 1 or more, found {calls}"
    ):
        fit(step, tiny.state(), [], steps=10, every=10)


def test_a_wrapped_step_is_told_to_say_its_updates():
    step = functools.partial(tiny.step(5))
    with pytest.raises(ValueError, match=r"the attribute steps_per_call.*wrapped\.steps_per_call = 5"):
        fit(step, tiny.state(), Batches(tiny.arrays(), 8, seed=3), steps=10, every=10)
