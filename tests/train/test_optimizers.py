"""Optax: each of its ways to ask for more trains; what does not is refused by name."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.layers import linear, linear_spec
from jnn.train import LossOutput, create_state, make_eval, make_step

KEY = jax.random.key(0)
SPEC = {"fc1": linear_spec(3, 4), "fc2": linear_spec(4, 1)}
RNG = np.random.default_rng(0)
BATCH = {"x": RNG.normal(size=(32, 3)).astype(np.float32), "y": RNG.normal(size=(32, 1)).astype(np.float32)}
LINES = ("value", "grad", "value_fn")


def loss(params, batch, ctx):
    h = jnp.tanh(linear(params["fc1"], batch["x"]))
    return LossOutput(jnn.losses.squared_error(linear(params["fc2"], h), batch["y"]))


def labels(params):
    return {"fc1": "slow", "fc2": "fast"}


CASES = {
    "sam": (optax.contrib.sam(optax.sgd(0.1), optax.sgd(0.05)), ("value",)),
    "sam, opaque": (optax.contrib.sam(optax.sgd(0.1), optax.sgd(0.05), opaque_mode=True), ("grad_fn",)),
    "polyak": (optax.polyak_sgd(0.1), ("value",)),
    "plateau": (optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=2)), ("value",)),
    "schedule-free": (optax.contrib.schedule_free_adamw(0.05), ("value",)),
    "lbfgs": (optax.lbfgs(), LINES),
    "lbfgs, chained": (optax.chain(optax.clip(1.0), optax.lbfgs()), LINES),
    "MultiSteps": (optax.MultiSteps(optax.adam(0.05), 2), ("value",)),
    "masked": (
        optax.chain(
            optax.masked(optax.adam(0.05), {"fc1": False, "fc2": True}),
            optax.masked(optax.set_to_zero(), {"fc1": True, "fc2": False}),
        ),
        ("value",),
    ),
    "multi_transform": (optax.multi_transform({"slow": optax.sgd(0.01), "fast": optax.sgd(0.1)}, labels), ("value",)),
    "inject_hyperparams": (optax.inject_hyperparams(optax.adam)(optax.cosine_decay_schedule(0.1, 100)), ("value",)),
    "adafactor": (optax.adafactor(0.05), ("value",)),
    "muon": (optax.contrib.muon(0.02), ("value",)),
}


@functools.cache
def step_of(name):
    """The step of a case, compiled once for all tests; it clips nothing."""
    optimizer, extra = CASES[name]
    return make_step(loss, optimizer, KEY, extra=extra, clip_norm=1e6)


@pytest.mark.parametrize("name", CASES)
def test_it_trains(name):
    step, state = step_of(name), create_state(jnn.init(SPEC, KEY), CASES[name][0])
    first = None
    for _ in range(30):
        state, metrics = step(state, BATCH)
        first = first or float(metrics["loss"].value())
    assert float(metrics["loss"].value()) < 0.95 * first


def test_lbfgs_is_optax_by_hand():
    optimizer, params = CASES["lbfgs"][0], jnn.init(SPEC, KEY)
    value_fn = lambda p: loss(p, BATCH, None).values.mean()
    state, mine = create_state(params, optimizer), step_of("lbfgs")
    kept = optimizer.init(params)

    @jax.jit
    def by_hand(params, kept):
        value, grad = jax.value_and_grad(value_fn)(params)
        updates, kept = optimizer.update(grad, kept, params, value=value, grad=grad, value_fn=value_fn)
        return optax.apply_updates(params, updates), kept

    for _ in range(4):
        state, _ = mine(state, BATCH)
        params, kept = by_hand(params, kept)
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_the_value_holds_the_penalty():
    """f = 2, |g|^2 = 8, g = 2: Polyak's step is f / |g|^2 * g."""
    penalized = lambda p, b, ctx: LossOutput(0 * b["x"], penalty=jnp.sum(p["w"] ** 2))
    step = make_step(penalized, optax.polyak_sgd(), KEY)
    state, _ = step(create_state({"w": jnp.ones(2)}, optax.polyak_sgd()), {"x": jnp.ones(4)})
    np.testing.assert_allclose(state.params["w"], [0.5, 0.5], rtol=1e-6)


def test_schedule_free_is_evaluated_at_its_average():
    optimizer = CASES["schedule-free"][0]
    state = create_state(jnn.init(SPEC, KEY), optimizer)
    for _ in range(3):
        state, _ = step_of("schedule-free")(state, BATCH)
    average = lambda state: optax.contrib.schedule_free_eval_params(state.opt_state, state.params)
    found = make_eval(loss, params_of=average)(state, BATCH)["loss"].value()
    np.testing.assert_allclose(found, loss(average(state), BATCH, None).values.mean(), rtol=1e-6)


def test_what_an_optimizer_asks_for_is_named():
    with pytest.raises(TypeError, match=r"asks for more than it is given .*value_fn.*extra=\("):
        make_step(loss, optax.lbfgs(), KEY)(create_state(jnn.init(SPEC, KEY), optax.lbfgs()), BATCH)
    with pytest.raises(ValueError, match=r"extra names \['hessian'\], expected some of value, grad"):
        make_step(loss, optax.sgd(1), KEY, extra=("hessian",))(create_state(jnn.init(SPEC, KEY), optax.sgd(1)), BATCH)
    with pytest.raises(TypeError, match="make_step: expected an Optax transformation, found a float"):
        make_step(loss, 1e-3, KEY)


def test_lookahead_is_refused_by_name():
    optimizer = optax.lookahead(optax.sgd(0.1), 5, 0.5)
    with pytest.raises(TypeError, match="lookahead"):
        create_state(jnn.init(SPEC, KEY), optimizer)


@pytest.mark.parametrize("mine", [optax.sgd(0.1), optax.chain(optax.clip(1.0), optax.adam(0.1))], ids=["sgd", "chain"])
def test_the_state_of_another_optimizer_is_refused(mine):
    message = "state is that of another optimizer.*found .*expected .*ScaleByAdamState"
    with pytest.raises(ValueError, match=message):
        make_step(loss, optax.adam(0.1), KEY)(create_state(jnn.init(SPEC, KEY), mine), BATCH)
