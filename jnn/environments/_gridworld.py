"""Gridworld: navigation in four rooms, whose floor is slippery.

State: row and column, int32. Observation: the map, 1 where one is.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.environments._environment import Environment

FOUR_ROOMS = """
#############
#     #     #
#     #     #
#           #
#     #     #
#     #     #
## ####     #
#     ### ###
#     #     #
#     #     #
#           #
#     #     #
#############
"""
FOUR_ROOMS_GOAL = (9, 10)
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left


def gridworld(
    grid: str = FOUR_ROOMS, goal: tuple[int, int] = FOUR_ROOMS_GOAL, *, slip: float = 1 / 3, limit: int = 100
) -> Environment:
    """Gridworld: actions 0 to 3 go up, right, down and left, unless there is a wall; each step costs 1 until the goal.

    See "Between MDPs and semi-MDPs: A framework for temporal abstraction in reinforcement learning", Sutton, Precup and
    Singh, 1999, whose rooms these are; its reward is 1 at the goal, discounted.

    Args:
      grid: lines of one length, "#" for a wall.
      goal: its row and column.
      slip: how often a step goes into one of the three other directions.
      limit: steps of an episode.

    Returns:
      An environment of states (2,) and four actions, which begins anywhere but at the goal.

    Raises:
      ValueError: lines differ in length, the goal is no floor, there is no other floor, or slip is no probability.

    >>> env = gridworld(slip=0.0)
    >>> state, reward, terminated = env.step(jnp.array([9, 9]), jnp.int32(1), jax.random.key(0))
    >>> state.tolist(), reward.item(), terminated.item()
    ([9, 10], -1.0, True)
    """
    floor = _floor(grid, goal)
    checks.number("gridworld", "slip", slip, lambda x: (x >= 0) & (x <= 1), "in [0, 1]", like=jnp.zeros(()))
    starts = jnp.asarray([place for place in np.argwhere(floor) if tuple(place) != goal], jnp.int32)
    free, moves, end = jnp.asarray(floor), jnp.asarray(MOVES, jnp.int32), jnp.asarray(goal, jnp.int32)

    def reset(key: jax.Array) -> jax.Array:
        return jax.random.choice(key, starts)

    def observe(state: jax.Array) -> jax.Array:
        return jnp.zeros(floor.shape).at[tuple(state)].set(1).ravel()

    def step(state: jax.Array, action: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        chance, other = jax.random.split(key)
        turn = jnp.where(jax.random.uniform(chance) < slip, jax.random.randint(other, (), 1, 4), 0)
        ahead = state + moves[(action + turn) % 4]
        state = jnp.where(free[tuple(ahead)], ahead, state)
        return state, -jnp.ones(()), (state == end).all()

    return Environment(reset, step, observe, (1.0,) * floor.size, actions=4, bound=None, limit=limit)


def _floor(grid: str, goal: tuple[int, int]) -> np.ndarray:
    """(rows, columns) bool, with walls around it."""
    lines = grid.strip("\n").split("\n")
    if len({len(line) for line in lines}) > 1:
        raise ValueError(f"gridworld: expected lines of one length, found {sorted({len(line) for line in lines})}.")
    floor = np.array([[character != "#" for character in line] for line in lines])
    edge = floor.copy()
    edge[1:-1, 1:-1] = False
    if edge.any():
        raise ValueError(
            f"gridworld: expected walls all around, found floor at {tuple(np.argwhere(edge)[0].tolist())}."
        )
    if not all(0 <= at < size for at, size in zip(goal, floor.shape, strict=True)) or not floor[goal]:
        raise ValueError(f"gridworld: expected a goal on the floor of the grid, found {goal}.")
    if floor.sum() < 2:
        raise ValueError("gridworld: expected floor beside the goal, to begin on; found none.")
    return floor
