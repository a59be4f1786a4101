"""Noise of a train step: a function of key, step and micro-batch alone, so resumed = uninterrupted."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from jnn.train import make_step
from tests.train.classifier import BATCHES, KEY, SGD, assert_equal, batch_of, initial, noisy, train


def draws(step, state, batch, n=3):
    """What the noise did in n steps: losses of a model that never moves."""
    found = []
    for _ in range(n):
        state, metrics = step(state, batch)
        found.append(float(metrics["loss"].value()))
    return found


def test_noise_is_a_function_of_the_key_and_the_step():
    still = optax.sgd(0.0)
    step, batch = make_step(noisy, still, KEY), batch_of()
    first = draws(step, initial(still), batch)
    assert len(set(first)) == 3
    assert draws(step, initial(still), batch) == first
    assert draws(step, initial(still).replace(step=jnp.array(1)), batch, 2) == first[1:]
    assert not set(draws(make_step(noisy, still, jax.random.key(8)), initial(still), batch)) & set(first)


def test_micro_batches_draw_their_own_noise():
    """Each from the key folded with the step, then with its own number; a whole batch without that."""
    marks = {}

    def marked(params, batch, ctx):
        out = noisy(params, batch, ctx)
        return out._replace(metrics={"noise": jnn.metrics.Mean(jax.random.normal(ctx.key) ** 2, jnp.ones(()))})

    for k in (1, 2):
        marks[k] = make_step(marked, SGD, KEY, microbatches=k)(initial(), batch_of())[1]["noise"]
    assert marks[2].weight == 2
    of_step = jax.random.fold_in(jax.random.fold_in(KEY, 0), 0)
    keys = [jax.random.fold_in(of_step, i) for i in range(2)]
    np.testing.assert_allclose(marks[2].total, sum(jax.random.normal(k) ** 2 for k in keys), rtol=1e-6)
    np.testing.assert_allclose(marks[1].total, jax.random.normal(of_step) ** 2, rtol=1e-6)


def test_resumed_equals_uninterrupted_bit_for_bit():
    optimizer = optax.adamw(1e-2)
    step = make_step(noisy, optimizer, KEY, ema_decay=0.9)
    whole, metrics = train(step, initial(optimizer, ema=True), BATCHES)
    halfway, _ = train(step, initial(optimizer, ema=True), BATCHES[:2])
    saved = jax.tree.map(np.asarray, jax.device_get(halfway))
    again = make_step(noisy, optimizer, KEY, ema_decay=0.9)
    resumed = train(again, jax.tree.map(jnp.asarray, saved), BATCHES[2:])
    assert_equal(resumed, (whole, metrics))
    assert not any(jnp.issubdtype(x.dtype, jax.dtypes.prng_key) for x in jax.tree.leaves(whole))
