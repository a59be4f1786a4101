"""The rows of a batch: integers that would wrap; weights that would vanish, are below zero, or are nobody's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import parallel
from jnn.data import Batches, prefetch
from jnn.param import Param
from jnn.train import LossOutput, fit, make_step
from tests.train.one_weight import KEY, ROWS, SGD, loss, state

BEYOND = {"x": np.ones(8, np.float32), "ids": np.full(8, 2**40)}


@pytest.mark.parametrize(
    "put",
    [
        lambda: next(prefetch([BEYOND])),
        lambda: parallel.put_batch(BEYOND, parallel.layout({}, "data=-1")),
        lambda: fit(make_step(loss, SGD, KEY), state(), [BEYOND], steps=1, every=1),
    ],
    ids=["prefetch", "put_batch", "fit"],
)
def test_integers_that_jax_would_wrap(put):
    with pytest.raises(ValueError, match=r"'ids' holds 1099511627776, first in row 0, beyond the int32"):
        put()


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.full(8, 1j), r"one number >= 0 per row, \(8,\); found complex128\[8\]"),
        (np.full(8, 1e-300), "'weight' holds 1e-300, which is 0 in float32"),
    ],
)
def test_weights_that_would_vanish(weight, message):
    with pytest.raises(ValueError, match=message):
        Batches(ROWS | {"weight": weight}, 4, seed=0)


def test_padding_leaves_the_scale_of_float16_alone():
    at = state().replace(step=jnp.int32(999))
    rows = ROWS | {"weight": np.zeros(8, np.float32)}
    padded, _ = make_step(loss, SGD, KEY, compute_dtype=jnp.float16)(at, rows)
    assert padded.loss_scale == state().loss_scale


def test_weights_below_zero_are_no_weights():
    below = lambda p, batch, ctx: LossOutput(p["w"] * batch["x"], batch["x"] - 2)
    _, metrics = make_step(below, SGD, KEY)(state(), ROWS)
    assert np.isnan(metrics["loss"].value())
    with pytest.raises(FloatingPointError, match="a weight below 0"):
        fit(make_step(below, SGD, KEY), state(), [ROWS], steps=1, every=1)


def test_padding_of_evaluations_of_whole_batches():
    place = parallel.layout({"w": Param((), jax.nn.initializers.ones, ())}, "data=-1")
    at = parallel.sharded_state(SGD, KEY, place)
    assert parallel.sharded_eval(loss, place, whole_batches=True)(at, ROWS)["loss"].weight == 8


@pytest.mark.parametrize(
    ("weight", "values", "fits"),
    [((8, 1), (8,), True), ((8,), (8, 3), True), ((8, 3), (24,), False), ((8,), (24,), False), ((8, 3), (8,), False)],
)
def test_weights_of_the_batch_are_those_of_the_values(weight, values, fits):
    """Row i has weight i and value 1, or 3 for the last."""
    rows = {"x": np.array([1.0] * 7 + [3]), "weight": np.arange(8.0)}
    rows["weight"] = np.broadcast_to(rows["weight"].reshape(8, *[1] * (len(weight) - 1)), weight).copy()
    plain = lambda p, batch, ctx: LossOutput(
        jnp.broadcast_to(p["w"] * batch["x"][:, None], (8, np.prod(values) // 8)).reshape(values)
    )
    step = make_step(plain, SGD, KEY, clip_norm=np.inf)
    if not fits:
        with pytest.raises(ValueError, match=r"which weight is whose\? Say it: LossOutput\(values, weights\)"):
            step(state(), rows)
    else:
        np.testing.assert_allclose(step(state(), rows)[1]["grad_norm"].value(), (21 + 21) / 28, rtol=1e-6)
