"""Options, metrics and states that mean nothing: one clear error each, and no silent number."""

import shutil
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnn import metrics as M
from jnn import parallel
from jnn.data import Batches, prefetch
from jnn.param import Param
from jnn.train import Checkpoints, LossOutput, compile_step, create_state, fit, make_eval, make_step
from jnn.train._state import step_of

KEY, SGD = jax.random.key(0), optax.sgd(0.1)
ROWS = {"x": np.ones(8, np.float32)}


def loss(params, batch, ctx):
    return LossOutput(params["w"] * batch["x"])


def state(**options):
    return create_state({"w": jnp.ones(())}, SGD, **options)


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


# what is added up


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


def test_feedback_without_a_residual():
    place = parallel.layout({"w": Param((), jax.nn.initializers.zeros, ())}, "slice=2,data=4")
    with pytest.raises(ValueError, match=r"memory lacks 'slice_residual'.*zero_residual\(params, layout\)"):
        parallel.error_feedback_step(loss, SGD, KEY, place)(parallel.sharded_state(SGD, KEY, place), ROWS)


# what reaches the device


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


# other people's folders


@pytest.mark.parametrize("name", ["0", "2024"])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path, name):
    """Named as a step is: Orbax would delete it in time, or take it for the newest."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=rf"{name} has the name of a step and is no checkpoint: it holds notes.txt"):
        Checkpoints(tmp_path)
    shutil.move(tmp_path / name, tmp_path / "elsewhere")
    Checkpoints(tmp_path).close()  # the one that was refused holds no lock
    shutil.move(tmp_path / "elsewhere", tmp_path / name)
    assert (tmp_path / name / "notes.txt").read_text() == "mine"


# what was found by reading


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


def test_a_norm_of_parameters_of_no_size():
    empty = {"w": jnp.ones(()), "none": jnp.ones((0, 3))}
    _, metrics = make_step(loss, SGD, KEY, clip_norm=1.0)(create_state(empty, SGD), ROWS)
    assert metrics["grad_norm"].value() == 1


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


def test_the_largest_of_nothing():
    largest = lambda p, batch, ctx: loss(p, batch, ctx)._replace(metrics={"most": M.Max(batch["x"].max())})
    step = make_step(largest, SGD, KEY)
    padding = {"x": np.full(8, np.nan, np.float32), "weight": np.zeros(8, np.float32)}
    none, some = step(state(), padding)[1], step(state(), ROWS)[1]
    assert M.merge(none, some)["most"].value() == 1
