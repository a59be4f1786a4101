"""A bad batch, loss, statistic, average or key: one clear error each from the train step."""

import jax
import jax.numpy as jnp
import pytest

from jnn.layers import dropout
from jnn.train import LossOutput, make_eval, make_step
from tests.train.classifier import BATCHES, KEY, PLAIN, SGD, averaged, batch_of, initial, loss, stacked


def cut(batch, name, size):
    return batch | {name: batch[name][:size]}


@pytest.mark.parametrize(
    ("options", "batch", "message"),
    [
        ({}, jax.tree.map(lambda x: x[:0], batch_of()), r"non-empty leading size, found .*batch\['x'\] \(0,\)"),
        ({}, cut(batch_of(), "y", 7), r"one common, non-empty leading size, found .*batch\['y'\] \(7,\)"),
        ({}, batch_of() | {"y": jnp.array(1)}, r"common, non-empty leading size, found .*batch\['y'\] \(\)"),
        ({}, {}, "expected leaves with one common"),
        ({"microbatches": 3}, batch_of(), r"3 micro-batches do not divide the 16 rows of the batch"),
        ({"steps_per_call": 4}, batch_of(), r"steps_per_call=4 expects batches stacked to \(4, rows, ...\)"),
        ({"steps_per_call": 4}, stacked(BATCHES[:3]), r"steps_per_call=4 expects batches stacked to \(4, rows, ...\)"),
        ({"ema_decay": 0.9}, batch_of(), "ema_decay=... and create_state\\(ema=True\\) go together"),
    ],
)
def test_a_bad_batch_is_one_clear_error(options, batch, message):
    with pytest.raises(ValueError, match=message):
        make_step(loss, SGD, KEY, **options)(initial(), batch)


def output(**changes):
    return lambda params, batch, ctx: loss(params, batch, ctx)._replace(**changes)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            lambda p, b, ctx: LossOutput(loss(p, b, ctx).values.mean()),
            r"one value per example \(or token\), for 16 examples; found shape \(\). Reduce nothing",
        ),
        (lambda p, b, ctx: LossOutput(loss(p, b, ctx).values[:5]), r"for 16 examples; found shape \(5,\)"),
        (output(weights=jnp.ones(4)), r"weights have shape \(4,\), expected that of its values \(16,\)"),
        (output(stats={"mean": jnp.ones(3)}), r"the loss returned stats that are not .*:\n  extra: mean float32\[3\]"),
    ],
)
def test_a_bad_loss_is_one_clear_error(bad, message):
    with pytest.raises(ValueError, match=message):
        make_step(bad, SGD, KEY)(initial(), batch_of())


@pytest.mark.parametrize("stats", [{"mean": jnp.zeros(3)}, {"other": jnp.zeros(8)}])
def test_statistics_that_the_state_was_not_created_for_are_an_error(stats):
    with pytest.raises(ValueError, match=r"(misshapen|extra): mean .*float32\[8\](?s:.*)Give create_state\(stats="):
        make_step(averaged, SGD, KEY)(initial(stats=stats), batch_of())


def test_a_loss_that_returns_no_statistics_to_a_state_that_has_some_is_an_error():
    with pytest.raises(ValueError, match=r"the loss returned stats that are not .*:\n  missing: mean float32\[8\]"):
        PLAIN(initial(stats={"mean": jnp.zeros(8)}), batch_of())


def test_averages_kept_but_not_updated_and_asked_for_but_not_kept_are_errors():
    with pytest.raises(ValueError, match="go together; found an average in the state, and no ema_decay"):
        PLAIN(initial(ema=True), batch_of())
    with pytest.raises(ValueError, match=r"params_of\(state\) is None. An average is kept by create_state\(ema=True\)"):
        make_eval(loss, params_of=lambda state: state.ema)(initial(), batch_of())


def test_a_key_forgotten_is_named():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'key'"):
        make_step(loss, SGD)
    forgetful = lambda params, batch, ctx: LossOutput(dropout(batch["x"], 0.5).sum(-1))
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'key'"):
        make_step(forgetful, SGD, KEY)(initial(), batch_of())
