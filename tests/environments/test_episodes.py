"""Episodes begin again where they end, transitions are of one episode, and the limit is no end of the task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import environments
from jnn.environments import (
    Environment,
    Episodes,
    evaluate_policy,
    observations,
    repeat_actions,
    rollout,
    start_episodes,
    step_episodes,
)

NAMES = ["cart_pole", "pendulum", "mountain_car", "acrobot", "quadrotor", "gridworld"]
KEY = jax.random.key(0)


def counter(ends, limit):
    """Counts its steps, whose rewards are their numbers; ends by itself at one of them."""
    step = lambda state, action, key: (state + 1, state + 1.0, state + 1 == ends)
    return Environment(lambda key: jnp.zeros(()), step, lambda state: state[None], (1.0,), 2, None, limit)


def still(x, key):
    return jnp.zeros(len(x), int)


@pytest.mark.parametrize(("ends", "limit"), [(3, 5), (5, 3), (3, 3)])
def test_ends_and_limits(ends, limit):
    env, last = counter(ends, limit), min(ends, limit)
    episodes, seen = rollout(env, still, start_episodes(env, 2, KEY), 7, KEY)
    by_itself, in_time = (seen[name][:, 0].tolist() for name in ("terminated", "truncated"))
    ended = [(t + 1) % last == 0 for t in range(7)]
    assert by_itself == (ended if ends <= limit else [False] * 7)
    assert in_time == (ended if ends > limit else [False] * 7)
    assert seen["observation"][:, 0, 0].tolist() == [t % last for t in range(7)]
    assert seen["next_observation"][:, 0, 0].tolist() == [t % last + 1 for t in range(7)]  # never of the next one
    assert seen["return"][:, 0].tolist() == [sum(range(1, t % last + 2)) for t in range(7)]
    assert episodes.time.tolist() == [7 % last] * 2
    assert evaluate_policy(env, still, 2, KEY).tolist() == [sum(range(1, last + 1))] * 2


@pytest.mark.parametrize("name", NAMES)
def test_a_rollout_is_its_steps(name):
    """By hand, in one program and by itself; and what is observed next is what is observed, but for an end."""
    env = getattr(environments, name)()
    shape = () if env.bound is None else (env.actions,)
    policy = lambda x, key: jax.random.randint(key, (len(x), *shape), 0, 2)
    whole, seen = jax.jit(lambda key: rollout(env, policy, start_episodes(env, 3, KEY), 12, key))(KEY)
    episodes = start_episodes(env, 3, KEY)
    for t, key in enumerate(jax.random.split(KEY, 12)):
        choice, chance = jax.random.split(key)
        actions = policy(observations(env, episodes), choice)
        episodes, one = step_episodes(env, episodes, actions, chance)
        for part in one:
            np.testing.assert_allclose(np.float32(one[part]), np.float32(seen[part][t]), rtol=2e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), episodes, whole)
    on = ~(seen["terminated"] | seen["truncated"])[:-1]
    np.testing.assert_array_equal(seen["next_observation"][:-1][on], seen["observation"][1:][on])
    assert seen["observation"].shape == (12, 3, len(env.scale))


@pytest.mark.parametrize(("ends", "rewards"), [(4, [3, 7]), (3, [3, 3]), (9, [3, 7, 11])])
def test_an_action_that_is_held_is_several_steps_up_to_an_end(ends, rewards):
    env = repeat_actions(counter(ends, 6), 2)
    assert env.limit == 3
    _, seen = rollout(env, still, start_episodes(env, 1, KEY), len(rewards), KEY)
    assert seen["reward"][:, 0].tolist() == rewards
    assert seen["terminated"][-1, 0] == (ends < 6)
    assert evaluate_policy(env, still, 1, KEY).tolist() == evaluate_policy(counter(ends, 6), still, 1, KEY).tolist()


def test_each_episode_has_noise_of_its_own():
    env = environments.cart_pole()
    states = start_episodes(env, 50, KEY).state
    assert len(np.unique(np.asarray(states[:, 0]))) == 50
    down = Episodes(jnp.full((50, 4), 9.0), jnp.zeros(50, jnp.int32), jnp.zeros(50))
    anew, seen = step_episodes(env, down, jnp.zeros(50, int), KEY)
    assert seen["terminated"].all()
    assert len(np.unique(np.asarray(anew.state[:, 0]))) == 50
    assert (abs(anew.state) <= 0.05).all()


def test_runs_by_vmap_are_runs_by_themselves():
    env = environments.cart_pole()
    keys = jax.random.split(KEY, 3)
    one = lambda key: evaluate_policy(env, lambda x, key: (x[:, 2] > 0).astype(int), 4, key)
    np.testing.assert_array_equal(jax.vmap(one)(keys), jnp.stack([one(key) for key in keys]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda env, e: start_episodes(env, 0, KEY), "start_episodes: expected n of 1 or more, found 0"),
        (lambda env, e: rollout(env, still, e, 0, KEY), "rollout: expected steps of 1 or more, found 0"),
        (
            lambda env, e: step_episodes(env, e, jnp.zeros((2, 1)), KEY),
            r"step_episodes: expected actions \(2,\), found float32\[2,1\]",
        ),
        (
            lambda env, e: step_episodes(env, e, jnp.array([0, 7]), KEY),
            r"step_episodes: expected actions in 0\.\.1 \(2 actions\), found 0\.\.7",
        ),
        (
            lambda env, e: repeat_actions(env, 3),
            "repeat_actions: expected a divisor of the limit of 500 steps, found 3",
        ),
    ],
)
def test_what_is_no_batch_of_episodes(call, message):
    env = environments.cart_pole()
    with pytest.raises(ValueError, match=message):
        call(env, start_episodes(env, 2, KEY))


def test_scaled_observations_are_floating_point():
    x = jnp.array([0.25, 0.015], jnp.bfloat16)
    assert environments.scaled(environments.mountain_car(), x).tolist() == [0.5, 0.5]
    with pytest.raises(TypeError, match="scaled: expected floating-point input, found int32"):
        environments.scaled(environments.mountain_car(), jnp.array([1, 1]))
