"""Diagnostics: the numbers of NumPy, inside the step and over several."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.layers import linear, linear_spec
from jnn.losses import squared_error
from jnn.train import LossOutput, activation, create_state, gradient_norms, make_step

SPEC = {"in": linear_spec(3, 4), "layers": jnn.stack(linear_spec(4, 4, axes=("hidden", "out")), 5)}
PARAMS = jnn.init(SPEC, jax.random.key(0))
RNG = np.random.default_rng(0)
BATCH = {name: jnp.asarray(RNG.normal(size=(8, n)), jnp.float32) for name, n in (("x", 3), ("y", 4))}
NORMS = functools.partial(gradient_norms, stacked=("layers",))


def loss(params, batch, ctx):
    h = linear(params["in"], batch["x"])
    metrics = activation("in", jax.nn.relu(h))
    h, _ = jax.lax.scan(lambda h, p: (jnp.tanh(linear(p, h)), None), h, params["layers"])
    return LossOutput(squared_error(h, batch["y"]), metrics=metrics)


def value(metrics, name):
    return float(metrics[name].value())


def test_the_norms_are_those_of_the_gradient_and_the_update():
    sgd = optax.sgd(0.5)
    _, metrics = make_step(loss, sgd, jax.random.key(1), diagnostics=NORMS)(create_state(PARAMS, sgd), BATCH)
    grads = jax.grad(lambda p: loss(p, BATCH, None).values.mean())(PARAMS)
    norm = np.linalg.norm
    np.testing.assert_allclose(value(metrics, "grad_norm/in/w"), norm(grads["in"]["w"]), rtol=1e-5)
    for i in range(5):
        grad, w = grads["layers"]["w"][i], PARAMS["layers"]["w"][i]
        np.testing.assert_allclose(value(metrics, f"grad_norm/layers/{i:02}/w"), norm(grad), rtol=1e-5)
        np.testing.assert_allclose(
            value(metrics, f"update_ratio/layers/{i:02}/w"), norm(0.5 * grad) / norm(w), rtol=1e-5
        )
    assert np.isnan(value(metrics, "update_ratio/in/b"))  # its parameter is all zeros


def test_activations():
    _, metrics = make_step(loss, optax.sgd(0.0), jax.random.key(1))(create_state(PARAMS, optax.sgd(0.0)), BATCH)
    h = np.maximum(np.asarray(linear(PARAMS["in"], BATCH["x"])), 0)
    np.testing.assert_allclose(value(metrics, "activation/in"), np.sqrt((h**2).mean()), rtol=1e-5)
    np.testing.assert_allclose(value(metrics, "dead/in"), (h == 0).all(0).mean(), rtol=1e-6)


def test_they_change_no_update_and_pool_over_steps():
    adam = optax.adam(1e-2)
    twice = jax.tree.map(lambda x: jnp.stack([x, -x]), BATCH)
    plain, _ = make_step(loss, adam, jax.random.key(1), steps_per_call=2)(create_state(PARAMS, adam), twice)
    step = make_step(loss, adam, jax.random.key(1), steps_per_call=2, diagnostics=NORMS)
    state, metrics = step(create_state(PARAMS, adam), twice)
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(plain.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    both = metrics["grad_norm/in/w"].value()
    pooled = jnn.metrics.merge(*(jax.tree.map(lambda x, i=i: x[i], metrics["grad_norm/in/w"]) for i in range(2)))
    np.testing.assert_allclose(pooled.value(), np.sqrt(np.mean(np.square(both))), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_sums_are_wide(dtype):
    metrics = activation("h", jnp.full((1000, 300), 0.1, dtype))
    np.testing.assert_allclose(value(metrics, "activation/h"), float(jnp.asarray(0.1, dtype)), rtol=1e-5)
