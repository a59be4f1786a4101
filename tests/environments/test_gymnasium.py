"""Environments step as Gymnasium's do, to the rounding of float32: states, rewards and ends, from states of all kinds.

Gymnasium is no dependency: it is looked for, and the tests are skipped where it is not.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import environments

gymnasium = pytest.importorskip("gymnasium", reason="Gymnasium is not installed: pip install gymnasium.")

PAIRS = {
    "cart_pole": ("CartPole-v1", [2.4, 2.0, 0.21, 2.0]),
    "pendulum": ("Pendulum-v1", [np.pi, 8.0]),
    "mountain_car": ("MountainCar-v0", [0.6, 0.07]),
    "acrobot": ("Acrobot-v1", [np.pi, np.pi, 6.0, 10.0]),
}


def drawn(rng, env, widest, n):
    """States all over, and actions."""
    states = rng.uniform(-1, 1, (n, len(widest))) * widest
    if env.bound is None:
        return states, rng.integers(0, env.actions, n)
    return states, rng.uniform(-1.5 * env.bound, 1.5 * env.bound, (n, env.actions))  # beyond the bound: cut


def theirs(name, state, action):
    """One step of Gymnasium's."""
    env = gymnasium.make(name).unwrapped
    env.reset(seed=0)
    env.state = np.array(state)
    observation, reward, terminated, truncated, _ = env.step(action)
    assert not truncated
    return observation, reward, terminated, np.array(env.state)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))])
def test_a_step_is_gymnasiums(name, seed):
    other, widest = PAIRS[name]
    env = getattr(environments, name)()
    states, actions = drawn(np.random.default_rng(seed), env, np.array(widest), 50)
    typed = jnp.asarray(actions, jnp.int32 if env.bound is None else jnp.float32)
    keys = jax.random.split(jax.random.key(0), len(states))
    after, reward, terminated = jax.vmap(env.step)(jnp.asarray(states, jnp.float32), typed, keys)
    seen = jax.vmap(env.observe)(after)
    expected = [theirs(other, *pair) for pair in zip(states, actions, strict=True)]
    for ours, column in zip((seen, reward, terminated), zip(*(row[:3] for row in expected), strict=True), strict=True):
        np.testing.assert_allclose(np.asarray(ours, np.float32), np.array(column, np.float32), atol=3e-5, rtol=1e-5)
    assert terminated.any() == (name != "pendulum")


@pytest.mark.parametrize("name", PAIRS)
def test_limits_and_actions_are_gymnasiums(name):
    env, spec = getattr(environments, name)(), gymnasium.spec(PAIRS[name][0])
    assert env.limit == spec.max_episode_steps
    space = gymnasium.make(PAIRS[name][0]).action_space
    if env.bound is None:
        assert space.n == env.actions
    else:
        assert (space.shape, float(space.high[0])) == ((env.actions,), env.bound)


@pytest.mark.parametrize("name", PAIRS)
def test_episodes_begin_where_gymnasiums_do(name):
    """In the same box, and all over it."""
    env, made = getattr(environments, name)(), gymnasium.make(PAIRS[name][0]).unwrapped
    ours = jax.vmap(lambda key: env.observe(env.reset(key)))(jax.random.split(jax.random.key(0), 2000))
    others = np.array([made.reset(seed=seed)[0] for seed in range(2000)])
    size = np.maximum(np.abs(others).max(0), 1e-6)
    np.testing.assert_allclose(ours.min(0) / size, others.min(0) / size, atol=0.03)
    np.testing.assert_allclose(ours.max(0) / size, others.max(0) / size, atol=0.03)
