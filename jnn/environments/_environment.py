"""What an environment is: functions of one episode's state, and a few numbers.

Laws: functions are pure, and of one episode: `jax.vmap` makes many of it. A step's noise is its key's. Only what the
task itself ends is `terminated`; that time is up (`limit`) is not a step's business but `step_episodes`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax


class Environment(NamedTuple):
    """Environment: a Markov decision process, as pure functions.

    Attributes:
      reset: key -> state, an array.
      step: state, action, key -> next state, reward (), terminated (): whether the task has ended.
      observe: state -> observation (d,), float32.
      scale: how large each of an observation's d numbers typically is, for a network to divide by.
      actions: how many actions there are, 0 to actions - 1; of continuous ones how many numbers an action has.
      bound: None of discrete actions; else an action is (actions,), each from -bound to bound.
      limit: steps after which an episode is truncated.
    """

    reset: Callable[[jax.Array], jax.Array]
    step: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array, jax.Array]]
    observe: Callable[[jax.Array], jax.Array]
    scale: tuple[float, ...]
    actions: int
    bound: float | None
    limit: int


def runge_kutta(slope: Callable[[jax.Array], jax.Array], x: jax.Array, seconds: float) -> jax.Array:
    """One step of the classical Runge-Kutta method of order four.

    >>> round(runge_kutta(lambda x: x, jax.numpy.ones(()), 1.0).item(), 4)
    2.7083
    """
    first = slope(x)
    second = slope(x + seconds / 2 * first)
    third = slope(x + seconds / 2 * second)
    last = slope(x + seconds * third)
    return x + seconds / 6 * (first + 2 * second + 2 * third + last)
