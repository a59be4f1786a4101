"""A small classifier, its batches, and three losses of it: what the tests of the train step take apart."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from jnn.layers import dropout, linear, linear_spec
from jnn.losses import cross_entropy
from jnn.train import LossOutput, create_state, make_step

SPEC = {"fc1": linear_spec(5, 8), "fc2": linear_spec(8, 3, axes=("hidden", "classes"))}
KEY = jax.random.key(7)
SGD = optax.sgd(0.1)


@functools.cache
def first_params():
    return jnn.init(SPEC, jax.random.key(0))


def initial(optimizer=SGD, **options):
    return create_state(first_params(), optimizer, **options)


def batch_of(n=16, seed=0):
    """Rows, labels, and uneven weights."""
    rng = np.random.default_rng(seed)
    x, y, weight = rng.normal(size=(n, 5)), rng.integers(0, 3, n), rng.uniform(0.5, 2, n)
    return {
        "x": jnp.asarray(x, jnp.float32),
        "y": jnp.asarray(y, jnp.int32),
        "weight": jnp.asarray(weight, jnp.float32),
    }


def apply(params, x):
    return linear(params["fc2"], jnp.tanh(linear(params["fc1"], x)))


def loss(params, batch, ctx):
    logits = apply(params, batch["x"])
    metrics = {"accuracy": jnn.metrics.accuracy(logits, batch["y"], batch["weight"])}
    return LossOutput(cross_entropy(logits, batch["y"]), batch["weight"], metrics=metrics)


def noisy(params, batch, ctx):
    """Dropout on the input."""
    x = dropout(batch["x"], 0.5, key=ctx.key)
    return LossOutput(cross_entropy(apply(params, x), batch["y"]), batch["weight"])


def averaged(params, batch, ctx):
    """Normalizes by the batch's own mean, or by the running one."""
    h = linear(params["fc1"], batch["x"])
    mean = h.mean(0) if ctx.stats is None else ctx.stats["mean"]
    return LossOutput(cross_entropy(linear(params["fc2"], jnp.tanh(h - mean[None])), batch["y"]), stats={"mean": mean})


PLAIN = make_step(loss, SGD, KEY)  # for all tests one program


@jax.jit
def weighted_mean(params, batch):
    """The objective, written down without the step."""
    values = cross_entropy(apply(params, batch["x"]), batch["y"])
    return jnp.sum(values * batch["weight"]) / jnp.sum(batch["weight"])


def train(step, state, batches):
    for batch in batches:
        state, metrics = step(state, batch)
    return state, metrics


def assert_close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **(tolerance or {"rtol": 1e-5, "atol": 1e-6}))


def assert_equal(a, b):
    assert_close(a, b, rtol=0, atol=0)


def stacked(batches):
    return jax.tree.map(lambda *x: jnp.stack(x), *batches)


BATCHES = [batch_of(seed=i) for i in range(4)]
