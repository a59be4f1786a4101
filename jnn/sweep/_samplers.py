"""Samplers: what to try next. Those here do not look at what was found.

    sampler.ask(n) -> [values, ...]             the next n points of the space
    sampler.tell(number, score, step, final)    how far a member came, by the number in which it was asked for

Law: what is asked is a function of the sampler's arguments, of how much was asked before, and of what was told.
"""

from __future__ import annotations

import itertools
from typing import Protocol

import numpy as np

from jnn import checks
from jnn.optional import optional
from jnn.sweep._space import Space, Values, check_space


class Sampler(Protocol):
    """Sampler: whatever proposes points of a space; the interface of all of them."""

    def ask(self, n: int) -> list[Values]:
        """The next n points."""
        ...

    def tell(self, number: int, score: float, step: int, final: bool) -> None:
        """The score of the member that was the `number`-th asked for, where less is better; NaN if it broke down.

        `final` says that it went all the way, rather than being given up, or left to wait, at this step. Of who waited
        and went on after all, as by `Asha`, it is told once more.
        """
        ...


class _Unheard:
    """A sampler that does not listen, over the unit cube."""

    def __init__(self, space: Space, *, seed: int) -> None:
        check_space(type(self).__name__, space)
        self.space, self.seed, self.asked = dict(space), seed, 0

    def ask(self, n: int) -> list[Values]:
        """The next n points."""
        checks.count(type(self).__name__, "how many are asked for", n)
        self.asked += n
        cube = self._cube(self.asked)[-n:]
        return [
            {name: x.at(u) for (name, x), u in zip(self.space.items(), map(float, row), strict=True)} for row in cube
        ]

    def _cube(self, n: int) -> np.ndarray:
        """The first n points of the cube."""
        raise NotImplementedError

    def tell(self, number: int, score: float, step: int, final: bool) -> None:
        """Nothing comes of it."""


class RandomSampler(_Unheard):
    """Random search: points drawn evenly.

    See "Random Search for Hyper-Parameter Optimization", Bergstra and Bengio, 2012.

    Args:
      space: what may be chosen.
      seed: of the draws.

    >>> from jnn.sweep import LogUniform
    >>> sampler = RandomSampler({"learning_rate": LogUniform(1e-4, 1e-1)}, seed=0)
    >>> [round(point["learning_rate"], 5) for point in sampler.ask(2)]
    [0.00814, 0.00064]
    """

    def _cube(self, n: int) -> np.ndarray:
        return np.random.default_rng(self.seed).random((n, len(self.space)))


class SobolSampler(_Unheard):
    """Sobol sequence: points that lie more evenly than chance would have them, scrambled; by SciPy.

    See "On the Distribution of Points in a Cube and the Approximate Evaluation of Integrals", Sobol', 1967.

    Args:
      space: what may be chosen.
      seed: of the scrambling.

    >>> from jnn.sweep import Uniform
    >>> points = SobolSampler({"dropout": Uniform(0.0, 1.0)}, seed=0).ask(4)
    >>> sorted(int(4 * point["dropout"]) for point in points)
    [0, 1, 2, 3]
    """

    def _cube(self, n: int) -> np.ndarray:
        sobol = optional("scipy.stats", "sweeps").qmc.Sobol(len(self.space), rng=self.seed)
        return sobol.random_base2(max(n - 1, 1).bit_length())[:n]


class GridSampler:
    """Grid search: all combinations, the last name's values changing first.

    Args:
      space: what may be chosen.
      points: how many values of each dimension that is no choice.

    >>> from jnn.sweep import Choice, Uniform
    >>> GridSampler({"dropout": Uniform(0.0, 0.5), "width": Choice(8, 16)}, points=2).ask(3)
    [{'dropout': 0.0, 'width': 8}, {'dropout': 0.0, 'width': 16}, {'dropout': 0.5, 'width': 8}]
    """

    def __init__(self, space: Space, *, points: int) -> None:
        check_space("GridSampler", space)
        checks.count("GridSampler", "points", points)
        grids = [dimension.grid(points) for dimension in space.values()]
        self.points = [dict(zip(space, values, strict=True)) for values in itertools.product(*grids)]
        self.asked = 0

    def ask(self, n: int) -> list[Values]:
        """The next n points.

        Raises:
          ValueError: the grid has no more.
        """
        self.asked += n
        if self.asked > len(self.points):
            raise ValueError(
                f"GridSampler: {self.asked} points were asked for, and the grid has {len(self.points)}. Give the plan "
                "no more members, in all its brackets, or the grid more points."
            )
        return self.points[self.asked - n : self.asked]

    def tell(self, number: int, score: float, step: int, final: bool) -> None:
        """Nothing comes of it."""
