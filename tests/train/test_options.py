"""Options, arguments and states that mean nothing: one clear error each, which says what to type instead."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import metrics as M
from jnn import parallel
from jnn.param import Param
from jnn.train import LossOutput, fit, make_eval, make_step
from jnn.train._state import step_of
from tests.train.one_weight import KEY, ROWS, SGD, loss, state


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"clip_norm": -1}, ValueError, "expected clip_norm > 0, or inf to measure alone, found -1"),
        ({"clip_norm": np.nan}, ValueError, "expected clip_norm > 0"),
        ({"ema_decay": 1.5}, ValueError, "expected ema_decay between 0 and 1, found 1.5"),
        ({"stats_momentum": 2}, ValueError, "expected stats_momentum between 0 and 1, found 2"),
        ({"microbatches": 0}, ValueError, "expected microbatches of 1 or more, found 0"),
        ({"microbatches": 2.0}, ValueError, "expected microbatches of 1 or more, found 2.0, which is no integer"),
        ({"steps_per_call": 2.0}, ValueError, "expected steps_per_call of 1 or more, found 2.0, which is no integer"),
        ({"keep": "image"}, TypeError, r"keep is several names, found 'image'. Write keep=\('image',\)"),
        ({"keep": ("imgae",)}, ValueError, r"keep names \['imgae'\], expected some of x"),
        ({"extra": "value"}, TypeError, r"extra is several names, found 'value'"),
        (
            {"extra": ("value_fn",), "microbatches": 2},
            ValueError,
            "are the loss on the whole batch at once",
        ),
        ({"ema_decay": 0.9}, ValueError, "found ema_decay alone"),
    ],
)
def test_an_option_that_means_nothing(options, error, message):
    with pytest.raises(error, match=message):
        make_step(loss, SGD, KEY, **options)(state(), ROWS)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (lambda x: LossOutput([1.0] * 8), TypeError, "values must be real numbers in an array, found a list"),
        (lambda x: LossOutput(x * 1j), TypeError, r"values must be real numbers in an array, found complex64\[8\]"),
        (lambda x: LossOutput(x, x[:, None]), ValueError, r"weights have shape \(8, 1\), expected that of its values"),
    ],
)
def test_an_output_that_is_none(out, error, message):
    with pytest.raises(error, match=message):
        make_step(lambda p, batch, ctx: out(p["w"] * batch["x"]), SGD, KEY)(state(), ROWS)


def test_outputs_share_no_dict():
    first = LossOutput(jnp.ones(2))
    first.metrics["mine"] = M.Last(1.0)
    assert LossOutput(jnp.ones(2)).metrics == {} == first.rows
    assert jax.tree.map(lambda x: x, first) == first


def test_what_is_no_state_and_what_is_no_stack():
    with pytest.raises(TypeError, match=r"expected a state from create_state\(params, optimizer\), found a dict"):
        make_step(loss, SGD, KEY)({"w": jnp.ones(())}, ROWS)
    with pytest.raises(ValueError, match=r"steps_per_call=2 expects batches stacked to \(2, rows, ...\)"):
        make_step(loss, SGD, KEY, steps_per_call=2)(state(), ROWS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checkpoints": "runs"}, r"checkpoints must be a Checkpoints\(...\), found 'runs'"),
        ({"recovery": "skip"}, r"recovery must be a Recovery"),
    ],
)
def test_fit_is_given_names(options, message):
    with pytest.raises(TypeError, match=message):
        fit(make_step(loss, SGD, KEY), state(), [ROWS], steps=1, every=1, **options)


def test_feedback_without_a_residual():
    place = parallel.layout({"w": Param((), jax.nn.initializers.zeros, ())}, "slice=2,data=4")
    with pytest.raises(ValueError, match=r"memory lacks 'slice_residual'.*zero_residual\(params, layout\)"):
        parallel.error_feedback_step(loss, SGD, KEY, place)(parallel.sharded_state(SGD, KEY, place), ROWS)


@pytest.mark.parametrize("value", ["value_fn", "grad_fn"])
def test_the_whole_batch_at_once_is_not_in_parts(value):
    place = parallel.layout({"w": Param((), jax.nn.initializers.zeros, ())}, "slice=2,data=4")
    options = {"extra": (value,)}
    steps = [
        parallel.pmap_step(loss, SGD, KEY, **options),
        parallel.error_feedback_step(loss, SGD, KEY, place, **options),
        parallel.sharded_step(loss, SGD, KEY, place, sums=parallel.compressed_sums(place), **options),
        parallel.sharded_step(loss, SGD, KEY, place, lanes=8, **options),
    ]
    for step in steps:
        with pytest.raises(ValueError, match="are the loss on the whole batch at once"):
            step(state(), ROWS)


def test_microbatches_of_a_lane():
    place = parallel.layout({"w": Param((), jax.nn.initializers.zeros, ())}, "data=-1")
    step = parallel.sharded_step(loss, SGD, KEY, place, lanes=8, microbatches=2)
    with pytest.raises(ValueError, match=r"2 micro-batches do not divide the 1 rows of the batch"):
        step(parallel.sharded_state(SGD, KEY, place), ROWS)


class Forward(list):
    """Batches that are given once each."""

    def __getitem__(self, i):
        if i in self.given:
            raise RuntimeError("only forward")
        self.given.add(i)
        return super().__getitem__(i)


def test_the_error_of_a_step_outlives_that_of_its_batch():
    batches = Forward([{"x": np.full(8, np.nan, np.float32)}])
    batches.given = set()
    with pytest.raises(
        FloatingPointError, match=r"loss of step 0 is nan; its batch cannot be read again \(RuntimeError"
    ):
        fit(make_step(loss, SGD, KEY), state(), batches, steps=1, every=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parallel.layout({}, {"data": 8}), "layout: expected a mesh, .* found a dict"),
        (lambda: parallel.layout({"w": jnp.ones(2)}, "data=-1"), r"layout: spec/w is no Param.*jnn.spec_of\(params"),
        (lambda: make_eval(loss)({"g": state()}, ROWS), r'found a dict. Of several .* evaluate\(state\["generator"\]'),
        (
            lambda: fit(make_step(loss, SGD, KEY), state(), [ROWS], steps=1, every=1, evaluate=make_eval(loss)),
            r"functools.partial\(evaluate_on, evaluate, batches\)",
        ),
        (lambda: make_step(loss, SGD, KEY)(state(), {"x": [1.0] * 8}), r"batch\['x'\] is a list.*np.asarray"),
    ],
)
def test_what_to_type_instead(call, message):
    with pytest.raises(TypeError, match=message):
        call()


class Pair(NamedTuple):
    net: Any
    count: Any


def test_a_named_tuple_without_a_step_is_no_state():
    with pytest.raises(TypeError, match="expected a state with a step"):
        step_of(Pair(state(), jnp.int32(0)))
