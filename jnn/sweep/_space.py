"""Search spaces: a dict of what may be chosen, by name. Every dimension is read off a number from 0 to 1.

    dimension.at(u) -> value        u in [0, 1), spread evenly over what may be chosen
    dimension.unit(value) -> u      the way back
    dimension.grid(n) -> values     n of them, both ends among them

Law: `at(unit(value))` is the value, to rounding.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from jnn import checks

Values = dict[str, Any]  # of a member, by name: numbers, and of a `Structure` anything


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Uniform dimension: a number between two.

    Raises:
      ValueError: low is not below high, or one of them is not finite.

    >>> Uniform(0.0, 0.5).at(0.5)
    0.25
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"{type(self).__name__}: expected low < high, found {self.low} and {self.high}.")

    def at(self, u: float) -> float:
        """The value at a share of the way from low to high."""
        return min(self.low + u * (self.high - self.low), self.high)

    def unit(self, value: float) -> float:
        """The share of the way at which a value lies; beyond an end, that end's."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def grid(self, n: int) -> list[float]:
        """So many, evenly apart."""
        return [self.at(i / max(n - 1, 1)) for i in range(n)]


@dataclasses.dataclass(frozen=True)
class LogUniform(Uniform):
    """Log-uniform dimension: a positive number whose logarithm is uniform, such as a learning rate.

    Raises:
      ValueError: low is not above 0, or not below high.

    >>> round(LogUniform(1e-4, 1e-2).at(0.5), 6)
    0.001
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low <= 0:
            raise ValueError(f"LogUniform: expected low above 0, found {self.low}. Uniform takes any number.")
        if math.isinf(self.high / self.low):
            raise ValueError(f"LogUniform: {self.high} is too many times {self.low}. Give bounds that lie closer.")

    def at(self, u: float) -> float:
        """The value at a share of the way, by logarithms."""
        return float(min(self.low * (self.high / self.low) ** u, self.high))

    def unit(self, value: float) -> float:
        """The share of the way at which a value lies, by logarithms."""
        return min(max(math.log(max(value, self.low) / self.low) / math.log(self.high / self.low), 0.0), 1.0)


@dataclasses.dataclass(frozen=True, init=False)
class Choice:
    """Choice: one of several numbers, which one program takes as its argument.

    Raises:
      TypeError: one is no number.
      ValueError: there are none, or one is there twice.

    >>> Choice(0.0, 0.1, 0.5).at(0.4)
    0.1
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        if not values or len(set(values)) != len(values):
            raise ValueError(f"{type(self).__name__}: expected one or more values, each once, found {values}.")
        self._check(values)
        object.__setattr__(self, "values", values)

    def _check(self, values: tuple[Any, ...]) -> None:
        if not all(isinstance(value, int | float) for value in values):
            raise TypeError(f"Choice: expected numbers, found {values}. What is no number is a Structure(...).")

    def at(self, u: float) -> Any:
        """The value whose even share of 0 to 1 holds u."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def unit(self, value: Any) -> float:
        """The middle of a value's share."""
        return (self.values.index(value) + 0.5) / len(self.values)

    def grid(self, n: int) -> list[Any]:
        """All of them, whatever n is."""
        return list(self.values)


@dataclasses.dataclass(frozen=True, init=False)
class Structure(Choice):
    """Structure: one of several values that make another program each, such as widths: numbers, truths or texts.

    Raises:
      TypeError: one is none of these.
      ValueError: there are none, or one is there twice.

    >>> Structure("relu", "tanh").at(0.7)
    'tanh'
    """

    def _check(self, values: tuple[Any, ...]) -> None:
        if not all(isinstance(value, int | float | str) for value in values):
            raise TypeError(f"Structure: expected numbers or texts, found {values}. Name what else there is by a text.")


@dataclasses.dataclass(frozen=True, init=False)
class Repeats(Choice):
    """Repeats: so many runs by the same hyperparameters, which differ by their seeds alone; no program takes it.

    For a `GridSampler`: one that draws each point by itself gives each run hyperparameters of its own.

    Raises:
      ValueError: fewer than 1.

    >>> Repeats(3).values
    (0, 1, 2)
    """

    def __init__(self, n: int) -> None:
        checks.count("Repeats", "n", n)
        super().__init__(*range(n))


Dimension = Uniform | Choice
Space = Mapping[str, Dimension]


def check_space(where: str, space: Any) -> None:
    """Raises TypeError for what is no space."""
    if not isinstance(space, Mapping) or not space or not all(isinstance(x, Dimension) for x in space.values()):
        raise TypeError(
            f'{where}: expected a space such as {{"learning_rate": LogUniform(1e-4, 1e-1)}}, found {space!r}.'
        )


def searched(space: Space) -> set[str]:
    """Names of the dimensions of which more than one value may be chosen.

    >>> searched({"learning_rate": LogUniform(1e-4, 1e-1), "width": Choice(64)})
    {'learning_rate'}
    """
    return {name for name, dimension in space.items() if len(dimension.grid(2)) > 1}


def structure_of(space: Space, values: Values) -> Values:
    """Those of a member's values that make a program."""
    return {name: value for name, value in values.items() if isinstance(space[name], Structure)}


def numbers_of(space: Space, values: Values) -> dict[str, float]:
    """Those that a program takes as its arguments."""
    return {name: float(value) for name, value in values.items() if not isinstance(space[name], Structure | Repeats)}


def units(space: Space, values: Values) -> list[float]:
    """Where a member lies in the space, from 0 to 1 along each dimension."""
    return [space[name].unit(values[name]) for name in space]


def spelled(values: Values) -> str:
    """Hyperparameters in few words.

    >>> spelled({"learning_rate": 0.0123456, "width": 64})
    'learning_rate=0.01235, width=64'
    """
    return ", ".join(f"{k}={value:.4g}" if isinstance(value, float) else f"{k}={value}" for k, value in values.items())
