"""What a train step does with its gradient: compute dtype, averages, clipping, any optimizer, a schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.layers import linear
from jnn.train import LossOutput, create_state, make_step
from tests.train.classifier import (
    BATCHES,
    KEY,
    SGD,
    SPEC,
    assert_close,
    averaged,
    first_params,
    initial,
    loss,
    train,
    weighted_mean,
)

# compute dtype


def test_half_precision_compute_keeps_float32_masters():
    seen = {}

    def spy(params, batch, ctx):
        seen.update({"w": params["fc1"]["w"].dtype, **{name: x.dtype for name, x in batch.items()}})
        return loss(params, batch, ctx)

    optimizer = optax.adam(1e-2)
    half, _ = train(make_step(spy, optimizer, KEY, compute_dtype=jnp.bfloat16), initial(optimizer), BATCHES)
    full, _ = train(make_step(loss, optimizer, KEY), initial(optimizer), BATCHES)
    assert seen == {"w": jnp.bfloat16, "x": jnp.bfloat16, "y": jnp.int32, "weight": jnp.float32}
    assert {x.dtype for x in jax.tree.leaves((half.params, half.opt_state[0].mu))} == {jnp.dtype("float32")}
    assert_close(half.params, full.params, rtol=0.05, atol=0.02)
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(half.params), jax.tree.leaves(full.params), strict=True))


def test_updates_below_the_resolution_of_bfloat16_add_up():
    """2**-10 on top of 1 is lost in bfloat16; a thousand of them are not."""
    objective = lambda params, batch, ctx: LossOutput(-params["w"] * batch["x"])
    tiny = optax.sgd(2.0**-10)
    step = make_step(objective, tiny, KEY, compute_dtype=jnp.bfloat16, steps_per_call=1024)
    state, _ = step(create_state({"w": jnp.ones(())}, tiny), {"x": jnp.ones((1024, 2))})
    assert state.params["w"] == 2


def test_compute_dtype_needs_no_x():
    tokens = lambda params, batch, ctx: LossOutput(params["table"][batch["tokens"]].sum(-1))
    step = make_step(tokens, SGD, KEY, compute_dtype=jnp.bfloat16)
    state, _ = step(create_state({"table": jnp.ones((4, 2))}, SGD), {"tokens": jnp.array([0, 1])})
    assert state.params["table"].dtype == jnp.float32


# averages, clipping, optimizers


def test_the_average_of_params_is_the_recursion_on_paper():
    state, expected = initial(ema=True), first_params()
    step = make_step(loss, SGD, KEY, ema_decay=0.75)
    for batch in BATCHES:
        state, _ = step(state, batch)
        expected = jax.tree.map(lambda e, p: 0.75 * e + 0.25 * p, expected, state.params)
    assert_close(state.ema, expected)


@pytest.mark.parametrize("k", [1, 2])
def test_the_average_of_statistics_is_the_recursion_on_paper(k):
    state, expected = initial(stats={"mean": jnp.zeros(8)}), jnp.zeros(8)
    step = make_step(averaged, SGD, KEY, stats_momentum=0.75, microbatches=k)
    for batch in BATCHES:
        mean = linear(state.params["fc1"], batch["x"]).mean(0)  # micro-batches are equally long
        state, _ = step(state, batch)
        expected = 0.75 * expected + 0.25 * mean
    np.testing.assert_allclose(state.stats["mean"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("limit", [1e-3, 0.1, 1e3])
def test_clipping_is_optaxs(limit):
    theirs = optax.chain(optax.clip_by_global_norm(limit), SGD)
    ours, metrics = train(make_step(loss, SGD, KEY, clip_norm=limit), initial(), BATCHES)
    expected, plain = train(make_step(loss, theirs, KEY, clip_norm=np.inf), initial(theirs), BATCHES)
    assert_close(ours.params, expected.params)
    assert_close(metrics["grad_norm"], plain["grad_norm"])


OPTIMIZERS = {
    "adamw": optax.adamw(1e-2, mask=jnn.weight_mask(SPEC)),
    "adafactor": optax.adafactor(1e-2),
    "lamb": optax.lamb(1e-2),
    "lion": optax.lion(1e-3),
    "momentum": optax.sgd(1e-2, momentum=0.9, nesterov=True),
    "multi_steps": optax.MultiSteps(optax.adam(1e-2), 2),
    "plateau": optax.chain(optax.adam(1e-2), optax.contrib.reduce_on_plateau(patience=1)),
    "polyak_sgd": optax.polyak_sgd(),
    "rmsprop": optax.rmsprop(1e-2),
    "schedule_free": optax.contrib.schedule_free_sgd(1e-2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer_is_optaxs_own_loop(name):
    optimizer = OPTIMIZERS[name]
    state, _ = train(make_step(loss, optimizer, KEY), initial(optimizer), BATCHES)
    params, opt_state = first_params(), optimizer.init(first_params())
    transform = optax.with_extra_args_support(optimizer)

    @jax.jit
    def update(params, opt_state, batch):
        value, gradient = jax.value_and_grad(weighted_mean)(params, batch)
        updates, opt_state = transform.update(gradient, opt_state, params, value=value)
        return optax.apply_updates(params, updates), opt_state

    for batch in BATCHES:
        params, opt_state = update(params, opt_state, batch)
    assert_close((state.params, state.opt_state), (params, opt_state), rtol=1e-4, atol=1e-5)


def test_a_schedule_follows_the_step():
    """Warm-up and cosine: with a gradient of 1, each update is minus that step's learning rate."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=4, decay_steps=12, end_value=0.1)
    optimizer = optax.sgd(schedule)
    step = make_step(lambda params, batch, ctx: LossOutput(params["w"] * batch["x"]), optimizer, KEY)
    state, places = create_state({"w": jnp.zeros(())}, optimizer), [0.0]
    for i in range(14):
        assert state.step == i
        state, _ = step(state, {"x": jnp.ones(2)})
        places.append(float(state.params["w"]))
    rates = -np.diff(places)
    np.testing.assert_allclose(rates, [schedule(i) for i in range(14)], atol=1e-6)
    np.testing.assert_allclose(rates[:5], [0, 0.25, 0.5, 0.75, 1.0], atol=1e-6)
    np.testing.assert_allclose(rates[12:], 0.1, atol=1e-6)
