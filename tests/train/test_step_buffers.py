"""Whose buffers a train step takes: the state's, and never the caller's; none at all in the abstract."""

import jax
import jax.numpy as jnp
import optax

import jnn
from jnn.train import create_state, make_step
from tests.train.classifier import KEY, SPEC, batch_of, first_params, loss


def test_the_state_is_donated_and_the_callers_params_survive():
    params = first_params()
    optimizer = optax.adam(1e-2)
    state, step = create_state(params, optimizer, ema=True), make_step(loss, optimizer, KEY, ema_decay=0.9)
    size = sum(x.nbytes for x in jax.tree.leaves(state))
    memory = step.lower(state, batch_of()).compile().memory_analysis()
    assert memory.alias_size_in_bytes == size  # every leaf is updated in place
    step(state, batch_of())
    assert all(x.is_deleted() for x in jax.tree.leaves(state))
    assert not any(x.is_deleted() for x in jax.tree.leaves(params))


def test_a_state_and_its_step_in_the_abstract():
    """To compile without allocating: nothing asks a tracer for its values."""
    optimizer = optax.adam(1e-2)
    state = jax.eval_shape(lambda: create_state(jnn.init(SPEC, KEY), optimizer, ema=True))
    new, _ = jax.eval_shape(make_step(loss, optimizer, KEY, ema_decay=0.9), state, batch_of())
    assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)


def test_an_optimizer_that_keeps_the_params_leaves_the_callers_alone():
    params, optimizer = first_params(), optax.contrib.schedule_free_sgd(0.1)
    make_step(loss, optimizer, KEY)(create_state(params, optimizer), batch_of())
    assert not any(x.is_deleted() for x in jax.tree.leaves(params))
