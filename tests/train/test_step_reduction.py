"""Law 8 in the train step: one reduction whatever the split, over rows, padding, devices, and K steps in a call."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn.losses import cross_entropy, l2
from jnn.train import LossOutput, make_step
from tests.train.classifier import (
    BATCHES,
    KEY,
    PLAIN,
    SGD,
    SPEC,
    apply,
    assert_close,
    assert_equal,
    batch_of,
    first_params,
    initial,
    loss,
    noisy,
    stacked,
    train,
    weighted_mean,
)


@functools.cache
def plain_run():
    """What the plain step makes of the batches: what others are compared with."""
    return train(PLAIN, initial(), BATCHES)


def test_a_step_is_the_gradient_of_the_weighted_mean():
    state, metrics = make_step(loss, SGD, KEY, clip_norm=np.inf)(initial(), batch_of())
    value, gradient = jax.jit(jax.value_and_grad(weighted_mean))(first_params(), batch_of())
    assert_close(state.params, jax.tree.map(lambda p, g: p - 0.1 * g, first_params(), gradient))
    np.testing.assert_allclose(metrics["loss"].value(), value, rtol=1e-6)
    np.testing.assert_allclose(metrics["grad_norm"].value(), optax.tree.norm(gradient), rtol=1e-5)
    assert state.step == 1


def test_the_step_is_pure():
    assert_equal(PLAIN(initial(), batch_of()), PLAIN(initial(), batch_of()))


# law 8: one reduction


@pytest.mark.parametrize("k", [2, 4, 16])
def test_micro_batches_give_the_same_params_and_metrics(k):
    whole = plain_run()
    assert_close(train(make_step(loss, SGD, KEY, microbatches=k), initial(), BATCHES), whole)


@pytest.mark.parametrize("k", [1, 4])
def test_padding_rows_give_the_same_params_and_metrics(k):
    """Sixteen rows among forty-eight; the rest is garbage of weight 0, whole micro-batches of it."""

    def padded(batch):
        place = np.arange(16) if k == 1 else np.arange(0, 48, 3)
        return {
            "x": jnp.full((48, 5), 1e20).at[place].set(batch["x"]),
            "y": jnp.full(48, -100, jnp.int32).at[place].set(batch["y"]),
            "weight": jnp.zeros(48).at[place].set(batch["weight"]),
        }

    whole = plain_run()
    step = make_step(loss, SGD, KEY, microbatches=k)
    assert_close(train(step, initial(), map(padded, BATCHES)), whole)


@pytest.mark.parametrize("k", [1, 2])
def test_eight_devices_give_the_same_params_and_metrics(k):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    place = lambda tree, *axes: jax.device_put(tree, NamedSharding(mesh, PartitionSpec(*axes)))
    whole = plain_run()
    step = make_step(loss, SGD, KEY, microbatches=k)
    sharded = train(step, place(initial()), [place(batch, "data") for batch in BATCHES])
    assert_close(sharded, whole)
    assert len(sharded[0].params["fc1"]["w"].sharding.device_set) == 8


def test_micro_batches_of_a_sharded_batch_stay_on_their_devices():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    state = jax.device_put(initial(), NamedSharding(mesh, PartitionSpec()))
    batch = jax.device_put(batch_of(64), NamedSharding(mesh, PartitionSpec("data")))
    text = make_step(loss, SGD, KEY, microbatches=4).lower(state, batch).compile().as_text()
    assert re.search(r"all-reduce(-start)?\(", text)
    assert not re.search(r"(all-gather|all-to-all|collective-permute)(-start)?\(", text)


@pytest.mark.parametrize("k", [1, 2])
def test_tokens_are_weighted_one_by_one(k):
    """Values (batch, time) with weights of the same shape: an example of two tokens counts twice one of one."""
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(4, 6, 5)), jnp.float32), jnp.asarray(rng.integers(0, 3, (4, 6)), jnp.int32)
    weight = jnp.asarray(rng.integers(0, 2, (4, 6)), jnp.float32)
    rows = np.argwhere(weight > 0)
    packed = {"x": x[tuple(rows.T)], "y": y[tuple(rows.T)], "weight": jnp.ones(len(rows))}
    plain = lambda params, batch, ctx: loss(params, batch, ctx)._replace(metrics={})
    ours = make_step(plain, SGD, KEY, microbatches=k)(initial(), {"x": x, "y": y, "weight": weight})
    assert_close(ours, make_step(plain, SGD, KEY)(initial(), packed))


def test_weights_of_examples_spread_over_their_tokens():
    batch = batch_of()
    values = lambda p, b: jnp.stack([cross_entropy(apply(p, b["x"]), b["y"])] * 2, -1)
    by_example = make_step(lambda p, b, ctx: LossOutput(values(p, b), b["weight"]), SGD, KEY)
    assert_close(by_example(initial(), batch)[0], PLAIN(initial(), batch)[0])


def test_a_batch_of_padding_alone_changes_nothing():
    batch = batch_of() | {"weight": jnp.zeros(16)}
    state, metrics = PLAIN(initial(), batch)
    assert_equal(state.params, first_params())
    assert np.isnan(metrics["loss"].value())


@pytest.mark.parametrize("k", [1, 2, 8])
def test_a_penalty_counts_once(k):
    def penalised(params, batch, ctx):
        return loss(params, batch, ctx)._replace(penalty=0.3 * l2(SPEC, params))

    state, metrics = make_step(penalised, SGD, KEY, microbatches=k)(initial(), batch_of())
    gradient = jax.jit(jax.grad(lambda p: weighted_mean(p, batch_of()) + 0.3 * l2(SPEC, p)))(first_params())
    assert_close(state.params, jax.tree.map(lambda p, g: p - 0.1 * g, first_params(), gradient))
    np.testing.assert_allclose(metrics["loss"].value(), weighted_mean(first_params(), batch_of()), rtol=1e-6)


# K steps in a call


@pytest.mark.parametrize("options", [{}, {"microbatches": 2}, {"ema_decay": 0.9, "clip_norm": 0.1}])
def test_steps_per_call_equal_that_many_calls(options):
    optimizer, keep = optax.adam(1e-2), "ema_decay" in options
    one = make_step(noisy, optimizer, KEY, **options)
    state, each = initial(optimizer, ema=keep), []
    for batch in BATCHES:
        state, metrics = one(state, batch)
        each.append(metrics)
    at_once, together = make_step(noisy, optimizer, KEY, steps_per_call=4, **options)(
        initial(optimizer, ema=keep), stacked(BATCHES)
    )
    assert_close(at_once, state)
    assert_close(together, stacked(each))
    assert together["loss"].value().shape == (4,)
    assert at_once.step == 4


def test_many_steps_compile_once():
    traces = []

    def counted(params, batch, ctx):
        traces.append(None)
        return loss(params, batch, ctx)

    step = make_step(counted, optax.adam(1e-2), KEY, clip_norm=1.0)
    train(step, initial(optax.adam(1e-2)), BATCHES * 3)
    assert len(traces) == 1


def test_a_step_is_part_of_a_callers_program():
    scanned = jax.jit(lambda state, batches: jax.lax.scan(PLAIN, state, batches)[0])
    assert_close(scanned(initial(), stacked(BATCHES)), plain_run()[0])
