"""Schedules of sparsity: functions of the step, as Optax's are of the rate.

    one_shot_sparsity(final, at)              all at one step
    iterative_sparsity(share, every, rounds)  a share of what is left, again and again
    cubic_sparsity(final, begin, end)         fast at first, and slower while there is less to choose from

Laws: each is 0 before its first pruning, never falls, and takes a step that is traced, or an array of them.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn import checks

Sparsity = Callable[[jax.Array | int], jax.Array]  # step -> the share that is pruned


def one_shot_sparsity(final: float, at: int = 0) -> Sparsity:
    """One-shot pruning's schedule: nothing before a step, all from it on.

    Args:
      final: the share that is pruned in the end.
      at: the step.

    Raises:
      ValueError: final is not from 0 to 1.

    >>> one_shot_sparsity(0.75, 10)(jnp.array([9, 10])).tolist()
    [0.0, 0.75]
    """
    _share("one_shot_sparsity", "final", final)
    return lambda step: jnp.where(jnp.asarray(step) < at, 0.0, jnp.float32(final))


def iterative_sparsity(share: float, every: int, rounds: int, *, begin: int = 0) -> Sparsity:
    """Iterative pruning's schedule: a share of the weights that are left, so often.

    See "The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks", Frankle and Carbin, 2019.

    Args:
      share: of what is left, each time.
      every: steps between two prunings.
      rounds: how often.
      begin: the step of the first one.

    Raises:
      ValueError: share is not from 0 to 1, or a count is not 1 or more.

    >>> iterative_sparsity(0.5, 100, 3)(jnp.array([0, 100, 200, 300])).tolist()
    [0.5, 0.75, 0.875, 0.875]
    """
    _share("iterative_sparsity", "share", share)
    checks.count("iterative_sparsity", "every", every)
    checks.count("iterative_sparsity", "rounds", rounds)
    done = lambda step: jnp.clip((jnp.asarray(step) - begin) // every + 1, 0, rounds)
    return lambda step: 1 - jnp.float32(1 - share) ** done(step)


def cubic_sparsity(final: float, begin: int, end: int, *, initial: float = 0.0) -> Sparsity:
    """Gradual pruning's schedule, cubic: `final + (initial - final) * (1 - (step - begin) / (end - begin))**3`.

    See "To Prune, or Not to Prune: Exploring the Efficacy of Pruning for Model Compression", Zhu and Gupta, 2017.

    Args:
      final: the share that is pruned from the step `end` on.
      begin, end: the first and the last step of pruning; before it nothing is.
      initial: the share that is pruned at the step `begin`.

    Raises:
      ValueError: a share is not from 0 to 1, or final less than initial, or end not after begin.

    >>> cubic_sparsity(0.75, 0, 100)(jnp.array([0, 50, 100, 200])).tolist()
    [0.0, 0.65625, 0.75, 0.75]
    """
    _share("cubic_sparsity", "final", final)
    _share("cubic_sparsity", "initial", initial)
    if initial > final:
        raise ValueError(f"cubic_sparsity: expected final of initial={initial} or more, found {final}.")
    if end <= begin:
        raise ValueError(f"cubic_sparsity: expected an end after the step {begin} of the beginning, found {end}.")

    def sparsity(step: jax.Array | int) -> jax.Array:
        left = 1 - jnp.clip((jnp.asarray(step) - begin) / (end - begin), 0, 1)
        return jnp.where(jnp.asarray(step) < begin, 0.0, jnp.float32(final) + (initial - final) * left**3)

    return sparsity


def _share(where: str, name: str, value: float) -> None:
    checks.number(where, name, value, lambda x: 0 <= x <= 1, "from 0 to 1", like=jnp.zeros(()))
