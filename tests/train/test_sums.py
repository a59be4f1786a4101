"""What is added up over rows, micro-batches, devices and slices is no silent number: counts, extremes, norms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import metrics as M
from jnn import parallel
from jnn.param import Param
from jnn.train import LossOutput, compile_step, create_state, fit, make_step
from tests.train.one_weight import KEY, ROWS, SGD, loss, state


@pytest.mark.parametrize(
    ("number", "total"),
    [
        (jnp.ones((), jnp.bfloat16), 1024),
        (jnp.uint8(200), 204800),
        (jnp.bool_(True), 1024),
        (np.uint32(4000000), np.uint32(4096000000)),
    ],
    ids=str,
)
def test_metrics_add_without_end(number, total):
    counting = lambda p, batch, ctx: loss(p, batch, ctx)._replace(metrics={"n": M.Sum(number)})
    rows = {"x": np.ones(1024, np.float32)}
    _, metrics = make_step(counting, SGD, KEY, microbatches=1024)(state(), rows)
    assert metrics["n"].value() == total


@pytest.mark.parametrize("make", ["pmap", "slices"])
def test_counts_of_many_devices_are_exact(make):
    counting = lambda p, batch, ctx: loss(p, batch, ctx)._replace(metrics={"n": M.Sum(jnp.int32(2**24 + 1))})
    if make == "pmap":
        step, at, parts = parallel.pmap_step(counting, SGD, KEY), state(), 8
    else:
        place = parallel.layout({"w": Param((), jax.nn.initializers.zeros, ())}, "slice=2,data=4")
        step = parallel.sharded_step(counting, SGD, KEY, place, sums=parallel.compressed_sums(place))
        at, parts = parallel.sharded_state(SGD, KEY, place), 2
    assert step(at, ROWS)[1]["n"].value() == parts * (2**24 + 1)


def test_memory_keeps_what_it_becomes():
    for initial, error in ((0, True), (np.int32(0), True), (np.float32(0), False)):
        step = make_step(loss, SGD, KEY, remember=lambda memory, *_: {"n": 0.9 * memory["n"] + 0.1})
        at = state(memory={"n": jnp.asarray(initial)})
        if error:
            with pytest.raises(
                TypeError, match=r"the memory changed .*:\n  mistyped: n is float32\[\], expected int32\[\]\nBegin"
            ):
                step(at, ROWS)
        else:
            np.testing.assert_allclose(step(at, ROWS)[0].memory["n"], 0.1, rtol=1e-6)


@pytest.mark.parametrize("feedback", [False, True])
def test_complex_params_between_slices(feedback):
    """The gradient of |w|^2 has an imaginary part, of bits of its own."""
    normal = lambda key, shape, dtype: jnp.full(shape, 1 + 1j, dtype)
    place = parallel.layout({"w": Param((), normal, (), dtype=jnp.complex64)}, "slice=2,data=4")
    square = lambda p, batch, ctx: LossOutput(jnp.abs(p["w"]) ** 2 * batch["x"])
    if feedback:
        step = parallel.error_feedback_step(square, SGD, KEY, place)
        at = parallel.sharded_state(SGD, KEY, place, memory=lambda params: parallel.zero_residual(params, place))
    else:
        step = parallel.sharded_step(square, SGD, KEY, place, sums=parallel.compressed_sums(place))
        at = parallel.sharded_state(SGD, KEY, place)
    np.testing.assert_allclose(step(at, ROWS)[0].params["w"], 0.8 + 0.8j, rtol=1e-2)


def test_a_step_by_hand_says_how_its_metrics_combine():
    by_hand = lambda at, batch: (at.replace(step=at.step + 1), {"lr": jnp.ones(())})
    message = r"metrics\['lr'\] is float32\[\], which does not say how it combines"
    with pytest.raises(TypeError, match=message):
        compile_step(by_hand)(state(), ROWS)
    with pytest.raises(TypeError, match=message):
        fit(jax.jit(by_hand), state(), [ROWS], steps=1, every=1)


def test_a_row_holds_numbers_of_any_width():
    narrow = lambda p, batch, ctx: loss(p, batch, ctx)._replace(metrics={"t": M.Last(jnp.bfloat16(0.5))})
    evaluate = lambda at: {"t": M.Max(jnp.bfloat16(2))}
    _, history = fit(make_step(narrow, SGD, KEY), state(), [ROWS], steps=1, every=1, evaluate=evaluate)
    assert (history[0]["train/t"], history[0]["val/t"]) == (0.5, 2.0)


def test_a_norm_of_parameters_of_no_size():
    empty = {"w": jnp.ones(()), "none": jnp.ones((0, 3))}
    _, metrics = make_step(loss, SGD, KEY, clip_norm=1.0)(create_state(empty, SGD), ROWS)
    assert metrics["grad_norm"].value() == 1


def test_the_largest_of_nothing():
    largest = lambda p, batch, ctx: loss(p, batch, ctx)._replace(metrics={"most": M.Max(batch["x"].max())})
    step = make_step(largest, SGD, KEY)
    padding = {"x": np.full(8, np.nan, np.float32), "weight": np.zeros(8, np.float32)}
    none, some = step(state(), padding)[1], step(state(), ROWS)[1]
    assert M.merge(none, some)["most"].value() == 1
