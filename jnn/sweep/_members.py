"""Members side by side: what several runs are, as one pytree along a leading axis.

    members.take(rows), members.put(rows, others)         on the host, whatever the number
    join(a, b)                                            the members of both
    bucket(n) -> m                                        the power of two that n are packed into

Law: nothing is computed here; a member keeps its bits wherever it is put.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.train import TrainState


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Members:
    """Members of a sweep: arrays with one row for each.

    Attributes:
      state: a `TrainState`, whose leaves are (members, ...); each counts its own steps.
      values: hyperparameter -> (members, ...), floating.
      seed: (members,) uint32, of initial values, noise and the order of examples.
      alive: (members,) bool, whether all that it computed so far was finite.
    """

    state: TrainState
    values: dict[str, Any]
    seed: Any
    alive: Any

    def __len__(self) -> int:
        return int(self.seed.shape[0])

    def take(self, rows: Sequence[int] | np.ndarray) -> Members:
        """The members of these rows, copied, on the host.

        Raises:
          IndexError: they are not the numbers of one row or more.
        """
        chosen = np.asarray(rows)
        there = chosen.size > 0 and chosen.dtype.kind in "iu"
        if not there or chosen.min() < -len(self) or chosen.max() >= len(self):
            raise IndexError(
                f"Members.take: expected one row or more from 0 to {len(self) - 1}, found {chosen.tolist()}. "
                "Those that are alive are np.flatnonzero(members.alive)."
            )
        return jax.tree.map(lambda x: np.asarray(x)[chosen], self)

    def put(self, rows: Sequence[int] | np.ndarray, others: Members) -> Members:
        """These members with others in the place of some rows, on the host."""
        chosen = np.asarray(rows, int)

        def put(x: Any, new: Any) -> np.ndarray:
            x = np.array(x)
            x[chosen] = np.asarray(new)
            return x

        return jax.tree.map(put, self, others)


def join(first: Members | None, second: Members) -> Members:
    """The members of both, on the host."""
    if first is None:
        return jax.tree.map(np.asarray, second)
    return jax.tree.map(lambda a, b: np.concatenate([np.asarray(a), np.asarray(b)]), first, second)


def bucket(n: int) -> int:
    """The least power of two that holds n.

    >>> [bucket(n) for n in (1, 2, 3, 8, 9)]
    [1, 2, 4, 8, 16]
    """
    return 1 << (n - 1).bit_length()


def packed(n: int, least: int) -> np.ndarray:
    """Rows of n members in a bucket of so many at least: what fills it up repeats the last.

    >>> packed(3, 1)
    array([0, 1, 2, 2])
    """
    return np.minimum(np.arange(max(bucket(n), least)), n - 1)


def check_points(points: Sequence[Mapping[str, Any]], seeds: list[int]) -> None:
    """Raises ValueError unless hyperparameters have the same names, and a seed each."""
    expected = "Sweep.begin: expected one or more points of the same names, with a seed each; found"
    if isinstance(points, Mapping):
        raise ValueError(f"{expected} a single one of {sorted(map(str, points))}. Put it into a list: [point].")
    names = sorted({tuple(sorted(point)) for point in points})
    if len(names) != 1 or len(seeds) != len(points):
        of = " and others of ".join(str(list(own)) for own in names) or "no names"
        raise ValueError(f"{expected} {len(points)} points of {of}, and {len(seeds)} seeds.")


def column(name: str, found: list[Any]) -> np.ndarray:
    """A hyperparameter of all members."""
    try:
        return np.array(found, jnp.result_type(float))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Sweep.begin: expected numbers, or arrays of one shape, as {name!r}; found {found!s:.200}. What is no "
            "number is a Structure of the space of `search`, or a Sweep of its own."
        ) from error
