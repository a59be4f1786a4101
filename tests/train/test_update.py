"""An update within other programs: differentiated through, summed in parts, mapped over an ensemble, strided."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.data import Batches
from jnn.layers import linear, linear_spec
from jnn.models import mlp
from jnn.train import LossOutput, compile_step, create_state, fit, gradient_sums, make_step, normalize, update
from tests.train.networks import KEY, SPECS, real


def test_an_update_is_differentiable():
    """One inner step of gradient descent; its gradient with respect to the rate is minus the products of gradients."""
    params = jnn.init(SPECS["critic"], KEY)
    loss = lambda p, batch, ctx: LossOutput(jnp.square(mlp(p, batch["x"], key=None)[:, 0] - 1))

    def after(rate):
        state, _ = update(loss, optax.sgd(rate), create_state(params, optax.sgd(rate)), real(), KEY)
        return loss(state.params, real(), None).values.mean()

    gradient = jax.jit(jax.grad(lambda p: loss(p, real(), None).values.mean()))
    there = jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient(params))
    expected = -optax.tree.vdot(gradient(there), gradient(params))
    np.testing.assert_allclose(jax.jit(jax.grad(after))(0.01), expected, rtol=1e-4)


def test_weights_may_be_learned_from_outside_and_not_from_within():
    """As data of the inner step they may be what an outer one differentiates: learning to weigh examples."""
    params, x = {"w": jnp.ones(2)}, jnp.asarray(real()["x"])
    outer = lambda w: update(
        lambda p, b, ctx: LossOutput(jnp.square(b["x"] @ p["w"]), jax.nn.sigmoid(w * b["x"][:, 0])),
        optax.sgd(0.1), create_state(params, optax.sgd(0.1)), {"x": x}, KEY,
    )[0].params["w"].sum()  # fmt: skip
    assert np.isfinite(jax.jit(jax.grad(outer))(0.5))
    within = lambda p, b, ctx: LossOutput(jnp.ones_like(b["x"][:, 0]), jax.nn.sigmoid(b["x"] @ p["w"]))
    with pytest.raises(ValueError, match="the weights depend on params"):
        make_step(within, optax.sgd(1.0), KEY)(create_state(params, optax.sgd(1.0)), {"x": x})
    stopped = lambda p, b, ctx: within(p, b, ctx)._replace(weights=jax.lax.stop_gradient(within(p, b, ctx).weights))
    make_step(stopped, optax.sgd(1.0), KEY)(create_state(params, optax.sgd(1.0)), {"x": x})


def test_sums_only_add():
    """The sums of two halves are those of the whole, whoever adds them."""
    params, ctx = jnn.init(SPECS["critic"], KEY), jnn.train.Context(KEY, KEY, jnp.int32(0))
    loss = lambda p, b, ctx: LossOutput(
        jnp.square(mlp(p, b["x"], key=None)[:, 0]), b["weight"], penalty=p["fc0"]["w"].sum()
    )
    batch = real() | {"weight": np.linspace(0, 2, 48, dtype=np.float32)}
    parts = [jax.tree.map(lambda x, s=s: x[s], batch) for s in (np.s_[:17], np.s_[17:], np.s_[:])]
    *halves, whole = jax.jit(lambda params: [gradient_sums(loss, params, part, ctx)[0] for part in parts])(params)
    for a, b in zip(jax.tree.leaves(jax.tree.map(jnp.add, *halves)), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    mean = lambda p: jnp.average(loss(p, batch, ctx).values, weights=batch["weight"]) + p["fc0"]["w"].sum()
    expected = jax.jit(jax.grad(mean))(params)
    for a, b in zip(jax.tree.leaves(normalize(whole, params)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_an_ensemble_by_vmap_is_run_by_fit():
    """Its step is a number, all else has an axis of members; a row holds each member's loss."""
    spec, n = linear_spec(2, 1), 4
    loss = lambda p, b, ctx: LossOutput(jnn.losses.squared_error(linear(p, b["x"]), b["x"][:, :1]), b["weight"])
    sgd = optax.sgd(0.1)
    states = [create_state(jnn.init(spec, jax.random.key(i)), sgd) for i in range(n)]
    state = jax.tree.map(lambda *x: jnp.stack(x), *states).replace(step=jnp.zeros((), jnp.int32))
    axes = jax.tree.map(lambda _: 0, state).replace(step=None)
    step = compile_step(jax.vmap(lambda s, b: update(loss, sgd, s, b, KEY), in_axes=(axes, None), out_axes=(axes, 0)))
    batches = Batches(real(), 16, seed=0)
    found, history = fit(step, state, batches, steps=6, every=3)
    alone, row = fit(make_step(loss, sgd, KEY), states[2], batches, steps=6, every=3)
    np.testing.assert_allclose(found.params["w"][2], alone.params["w"], rtol=1e-5)
    np.testing.assert_allclose(history[-1]["train/loss/2"], row[-1]["train/loss"], rtol=1e-5)


@functools.cache
def plain_loss():
    return lambda p, b, ctx: LossOutput(jnn.losses.squared_error(linear(p, b["x"]), b["x"][:, :1]))


def test_a_step_of_other_strides_than_it_says_is_refused():
    """In silence it would make a tenth of the updates, or of the epochs."""
    state = lambda: create_state(jnn.init(linear_spec(2, 1), KEY), optax.sgd(0.1))
    one = make_step(plain_loss(), optax.sgd(0.1), KEY)
    many = lambda s, b: one(s, jax.tree.map(lambda x: x[0], b))
    many.steps_per_call = 10
    with pytest.raises(ValueError, match=r"the state's step is 2, expected 20: .*steps_per_call=10"):
        fit(many, state(), [real()] * 40, steps=40, every=20)
    two = make_step(plain_loss(), optax.sgd(0.1), KEY, steps_per_call=2)
    with pytest.raises(ValueError, match=r"leading size|expects batches stacked"):
        fit(functools.partial(two), state(), [real()] * 4, steps=4, every=2)
    stacked = lambda s, b: two(s, jax.tree.map(lambda x: jnp.stack([x, x]), b))
    with pytest.raises(ValueError, match=r"the state's step is 4, expected 2: .*steps_per_call=1.*an attribute"):
        fit(stacked, state(), [real()] * 4, steps=4, every=2)
