"""What a step's metrics say of its updates: what is watched, every number that is not finite, spikes, setbacks."""

import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import metrics as M
from jnn.data import Batches
from jnn.train import Checkpoints, fit, make_step
from tests.train.least_squares import BATCH, KEY, SGD, loss, state


def test_one_rollback_of_many_updates_is_one_setback(tmp_path):
    class Poisoned(Batches):
        def stack(self, step, k):
            batch = super().stack(step, k)
            return batch | {
                "x": batch["x"] * (np.float32("nan") if any(step <= i < step + k for i in (70, 120)) else 1)
            }

    weighted = lambda p, b, ctx: loss(p, b, ctx)._replace(weights=b["weight"])
    with Checkpoints(tmp_path) as checkpoints:
        options = {"checkpoints": checkpoints, "recovery": jnn.train.Recovery(on="rollback", max_skips=2)}
        found, history = fit(
            make_step(weighted, SGD, KEY), state(), Poisoned(BATCH, 4, seed=0), steps=200, every=50, **options
        )
    assert found.step == 200
    assert len(history) == 4


@pytest.mark.parametrize("options", [{"on": "ignore"}, {"max_skips": -1}, {"spike": 0.5}])
def test_a_recovery_that_means_nothing_is_refused(options):
    with pytest.raises(ValueError, match="Recovery: expected"):
        jnn.train.Recovery(**options)


def test_what_is_watched_must_be_there():
    with pytest.raises(KeyError, match=r"watch names \['critic'\], the step's metrics are \['loss'\]"):
        fit(
            make_step(loss, SGD, KEY), state(), [BATCH], steps=1, every=1, recovery=jnn.train.Recovery(watch=["critic"])
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_number_that_is_not_finite_is_bad(value):
    step = lambda s, b: ({"step": s["step"] + 1}, {"loss": M.mean(b["x"])})
    batches = [{"x": np.full(3, value if i == 2 else 1.0, np.float32)} for i in range(4)]
    with pytest.raises(FloatingPointError, match="the loss of step 2 is"):
        fit(step, {"step": jnp.int32(0)}, batches, steps=4, every=4)


def test_a_spike_of_one_member_of_an_ensemble_is_a_spike(tmp_path):
    step = lambda s, b: ({"step": s["step"] + 1}, {"loss": M.Mean(b["x"], jnp.ones(3))})
    batches = [{"x": np.float32([1, 1, 50 if i == 3 else 1])} for i in range(6)]
    with Checkpoints(tmp_path) as checkpoints:
        options = {"checkpoints": checkpoints, "recovery": jnn.train.Recovery(on="skip", spike=10.0)}
        _, history = fit(step, {"step": jnp.int32(0)}, batches, steps=6, every=2, **options)
    assert [row["train/loss/2"] for row in history] == [1, 1, 1]
