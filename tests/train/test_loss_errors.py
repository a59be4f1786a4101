"""A loss, a step, a state or batches that are none: one clear error each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.train import LossOutput, create_state, fit, make_eval, make_step
from tests.train.least_squares import BATCH, KEY, SGD, SPEC, loss, state

OLD = lambda params, batch, running, rng: loss(params, batch, None)


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (
            lambda p, b, ctx: loss(p, b, ctx).values,
            TypeError,
            r"the loss returned float32\[16\], expected .*LossOutput",
        ),
        (lambda p, b, ctx: (loss(p, b, ctx).values.mean(), {}), TypeError, "the loss returned a tuple of 2, expected"),
        (lambda p, b, ctx: LossOutput(loss(p, b, ctx).values.mean()), ValueError, "one value per example"),
        (
            lambda p, b, ctx: loss(p, b, ctx)._replace(penalty=p["w"]),
            ValueError,
            "a penalty is one number, found shape",
        ),
        (
            lambda p, b, ctx: loss(p, b, ctx)._replace(weights=jnp.ones((16, 1))),
            ValueError,
            "expected that of its values .* or of their leading axes",
        ),
        (
            lambda p, b, ctx: loss(p, b, ctx)._replace(weights=jnp.ones(8)),
            ValueError,
            "expected that of its values .* or of their leading axes",
        ),
        (lambda p, b, ctx: loss(p, b, ctx)._replace(rows={"k": jnp.ones(3)}), ValueError, r"rows/k has shape \(3,\)"),
        (lambda p, b, ctx: loss(p, b, ctx)._replace(stats=jnp.ones(3)), TypeError, "stats are dicts by name"),
        (lambda p, b, ctx: loss(p, b, ctx)._replace(stats={"m": jnp.ones(3)}), ValueError, "extra: m float32"),
    ],
)
def test_what_a_loss_returns_wrongly_is_one_clear_error(made, error, message):
    with pytest.raises(error, match=message):
        make_step(made, SGD, KEY)(state(), BATCH)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: make_step(OLD, SGD, KEY),
            r"called as loss\(params, batch, ctx\), found \(params, batch, running, rng\)",
        ),
        (lambda: make_step(lambda p, b: None, SGD, KEY), r"called as loss\(params, batch, ctx\), found \(p, b\)"),
        (lambda: make_eval(OLD), r"make_eval: the loss is called as"),
        (lambda: make_step(loss, SGD, 0), r"make_step: expected one PRNG key, found 0"),
        (lambda: create_state(SPEC, SGD), r"params/b is a Param, expected an array. A spec becomes arrays by jnn.init"),
        (lambda: state(stats=SPEC), r"stats/b is a Param, expected an array"),
        (
            lambda: create_state({"w": jnp.ones(2), "n": jnp.arange(3)}, SGD),
            r"params/n is int32, which has no gradient",
        ),
        (lambda: make_step(loss, SGD, KEY, microbatch=2), "make_step: no option microbatch; there are .*microbatches"),
        (lambda: make_step(loss, SGD, jax.random.split(KEY, 3)), "make_step: expected one PRNG key, found"),
    ],
)
def test_what_a_step_is_made_of_wrongly_is_one_clear_error(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_a_state_is_used_once():
    step, first = make_step(loss, SGD, KEY), state()
    step(first, BATCH)
    with pytest.raises(RuntimeError, match="a step donates its state, so a state is used once"):
        step(first, BATCH)


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        ((BATCH for _ in range(4)), TypeError, r"found a generator. Give jnn.data.Batches"),
        ([BATCH] * 2, ValueError, "there is no batch of step 2"),
        (BATCH, TypeError, r"found one batch. Give \[batch\] \* steps"),
        (iter([BATCH]), TypeError, "found a list_iterator"),
        ([(BATCH["x"], BATCH["y"])] * 4, None, None),
    ],
)
def test_batches_that_are_none_are_one_clear_error(batches, error, message):
    if error is None:  # any tree of arrays
        pair = lambda p, b, ctx: loss(p, {"x": b[0], "y": b[1]}, ctx)
        fit(make_step(pair, SGD, KEY), state(), batches, steps=4, every=2)
        return
    with pytest.raises(error, match=message):
        fit(make_step(loss, SGD, KEY), state(), batches, steps=4, every=2)


def test_a_list_is_stacked_for_calls_of_several_steps():
    found, _ = fit(make_step(loss, SGD, KEY, steps_per_call=2), state(), [BATCH] * 4, steps=4, every=4)
    expected, _ = fit(make_step(loss, SGD, KEY), state(), [BATCH] * 4, steps=4, every=4)
    np.testing.assert_allclose(found.params["w"], expected.params["w"], rtol=1e-6)


@pytest.mark.parametrize("bad", [{"params": {}}, {"step": 0}, {"step": jnp.zeros(2, int)}])
def test_a_state_without_a_step_is_one_clear_error(bad):
    with pytest.raises(TypeError, match="expected a state with a step, a scalar integer array"):
        fit(lambda s, b: (s, {}), bad, [BATCH] * 2, steps=2, every=1)
