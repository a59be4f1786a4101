"""What physics asks of the environments that no other library has, and of those that are pendulums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

from jnn.environments import acrobot, evaluate_policy, gridworld, quadrotor
from jnn.environments._acrobot import _slope as acrobot_slope
from jnn.environments._gridworld import FOUR_ROOMS, FOUR_ROOMS_GOAL, MOVES
from jnn.environments._quadrotor import GRAVITY

KEY = jax.random.key(0)


def test_a_quadrotor_without_thrust_falls_freely_and_keeps_turning():
    env = quadrotor()
    state = jnp.array([0.1, 0.2, 0.1, 0.3, 1.0, 0.5])
    after, _, _ = env.step(state, -jnp.ones(2), KEY)
    t = 0.04
    moved = [0.1 + 0.3 * t, 0.2 + t - GRAVITY / 2 * t**2, 0.1 + 0.5 * t, 0.3, 1 - GRAVITY * t, 0.5]
    np.testing.assert_allclose(after, moved, rtol=1e-5)


def test_quadrotors_are_mirrored():
    env, mirror = quadrotor(), jnp.array([-1.0, 1, -1, -1, 1, -1])
    state, action = jax.random.normal(KEY, (6,)) / 3, jnp.array([0.3, -0.6])
    one, other = env.step(state, action, KEY)[0], env.step(mirror * state, action[::-1], KEY)[0]
    np.testing.assert_allclose(mirror * one, other, atol=1e-5)


def test_a_linear_regulator_holds_the_quadrotor():
    """LQR of the linearized step, which is the textbook's solution."""
    env, cost = quadrotor(), np.diag([1, 1, 1, 0.1, 0.1, 0.1])
    step = lambda state, action: env.step(state, action, KEY)[0]
    a, b = (np.asarray(x, np.float64) for x in jax.jacobian(step, (0, 1))(jnp.zeros(6), jnp.zeros(2)))
    riccati = solve_discrete_are(a, b, cost, 0.1 * np.eye(2))
    gain = jnp.asarray(np.linalg.solve(0.1 * np.eye(2) + b.T @ riccati @ b, b.T @ riccati @ a), jnp.float32)
    regulated = evaluate_policy(env, lambda x, key: -x @ gain.T, 100, KEY)
    still = evaluate_policy(env, lambda x, key: jnp.zeros((100, 2)), 100, KEY)
    assert regulated.min() > still.mean() + 20


def test_an_acrobot_without_a_motor_keeps_its_energy():
    """Of both links; the equations of the book leave nothing out."""
    env = acrobot()

    def energy(state):
        upper, lower, first, second = state
        both = first + second
        # each link: a centre half a metre out, a moment of inertia of 1 about it
        speeds = 0.25 * first**2 + first**2 + 0.25 * both**2 + first * both * jnp.cos(lower)
        heights = -0.5 * jnp.cos(upper) - jnp.cos(upper) - 0.5 * jnp.cos(upper + lower)
        return 0.5 * (speeds + first**2 + both**2) + 9.8 * heights

    state = jnp.array([0.9, -0.4, 0.2, 0.3])
    slope = acrobot_slope(state, jnp.float32(0))
    assert abs(jax.jvp(energy, (state,), (slope,))[1]) < 1e-4
    assert abs(energy(env.step(state, jnp.int32(1), KEY)[0]) - energy(state)) < 2e-2  # steps of 0.2 s


def distances():
    """Steps from each floor to the goal, and 2D arrays of what is floor."""
    floor = np.array([[c != "#" for c in line] for line in FOUR_ROOMS.strip("\n").split("\n")])
    found, frontier = {FOUR_ROOMS_GOAL: 0}, [FOUR_ROOMS_GOAL]
    while frontier:
        place = frontier.pop(0)
        for dy, dx in MOVES:
            there = (place[0] + dy, place[1] + dx)
            if floor[there] and there not in found:
                found[there] = found[place] + 1
                frontier.append(there)
    return found, floor


def test_the_shortest_ways_of_a_gridworld_that_is_not_slippery():
    found, floor = distances()
    assert len(found) == floor.sum() == 104
    env, steps = gridworld(slip=0.0), np.full(floor.shape, 99)
    for place, distance in found.items():
        steps[place] = distance
    table = jnp.asarray(steps)

    def policy(x, key):
        row, column = jnp.divmod(x.argmax(-1), floor.shape[1])
        moved = jnp.stack([table[row + dy, column + dx] for dy, dx in MOVES], -1)
        return moved.argmin(-1)

    returns = evaluate_policy(env, policy, 300, KEY)
    mean = -np.mean([distance for distance in found.values() if distance])
    np.testing.assert_allclose(returns.mean(), mean, atol=1.0)
    assert returns.min() == -max(found.values())


def test_a_slippery_floor_turns_a_third_of_the_steps_each_way_alike():
    env = gridworld()
    right = lambda key: env.step(jnp.array([2, 3]), jnp.int32(1), key)
    after, reward, terminated = jax.vmap(right)(jax.random.split(KEY, 9000))
    moved = np.asarray(after) - [2, 3]
    shares = [(moved == move).all(-1).mean() for move in MOVES]
    np.testing.assert_allclose(shares, [1 / 9, 2 / 3, 1 / 9, 1 / 9], atol=0.02)
    assert (reward == -1).all()
    assert not terminated.any()


def test_walls_stop():
    env = gridworld(slip=0.0)
    assert env.step(jnp.array([1, 1]), jnp.int32(0), KEY)[0].tolist() == [1, 1]
    assert env.observe(jnp.array([1, 1])).sum() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": "###\n##"}, "expected lines of one length, found .2, 3."),
        ({"grid": "###\n# #\n# #"}, r"expected walls all around, found floor at \(2, 1\)"),
        ({"goal": (0, 0)}, r"expected a goal on the floor of the grid, found \(0, 0\)"),
        ({"grid": "###\n# #\n###", "goal": (1, 1)}, "expected floor beside the goal"),
        ({"slip": 1.5}, r"expected slip in \[0, 1\], found 1.5"),
    ],
)
def test_what_is_no_gridworld(options, message):
    with pytest.raises(ValueError, match=message):
        gridworld(**options)
