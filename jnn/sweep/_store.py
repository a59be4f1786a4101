"""All members that a search has begun, by number: of each structure a sweep and its members, on the host.

Law: what a turn does to some members, it does to no other.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jnn.param import flatten
from jnn.strict_json import dumps
from jnn.sweep._members import Members, join
from jnn.sweep._space import Space, Structure, Values, numbers_of, structure_of
from jnn.sweep._sweep import Sweep

Make = Sweep | Callable[..., Sweep]


@dataclasses.dataclass
class Group:
    """The members of one structure, and their numbers in the order of their rows."""

    sweep: Sweep
    members: Members
    numbers: list[int]


class Store:
    """Members by number.

    Args:
      make: the sweep; where the space has structure, a function of it by name that gives the sweep.
      space: of the hyperparameters.

    Raises:
      TypeError: there is structure, and no function of it; or the other way round.
    """

    def __init__(self, make: Make, space: Space) -> None:
        structure = {name: dimension for name, dimension in space.items() if isinstance(dimension, Structure)}
        names = sorted(structure)
        if bool(names) == isinstance(make, Sweep):
            expected = f"a function of {', '.join(names)} that gives a Sweep" if names else "a Sweep"
            raise TypeError(f"search: expected {expected}, for a space with {len(names)} Structure, found {make!r}.")
        self._make, self._space = make, space
        self._structures = math.prod(len(dimension.values) for dimension in structure.values())
        self.groups: dict[str, Group] = {}

    def sweep(self, values: Values) -> Sweep:
        """The sweep that these hyperparameters belong to, made once."""
        if isinstance(self._make, Sweep):
            return self._make
        structure = structure_of(self._space, values)
        group = self.groups.get(dumps(structure, sort_keys=True))
        return group.sweep if group else self._make(**structure)

    def begin(self, points: Mapping[int, Values], seed: int) -> None:
        """Members of these numbers; each has the seed that its number is behind this one."""
        for key, numbers in self._by_structure(points).items():
            sweep = self.sweep(points[numbers[0]])
            own = [numbers_of(self._space, points[number]) for number in numbers]
            members = sweep.begin(own, [seed + number for number in numbers])
            there = self.groups.get(key)
            before, known = (there.members, there.numbers) if there else (None, [])
            self.groups[key] = Group(sweep, join(before, members), known + numbers)

    def copy(self, copies: Mapping[int, int], values: Mapping[int, Values]) -> None:
        """Lets members go on from the states of others, with hyperparameters of their own."""
        for group in self.groups.values():  # one, for there is no structure where anybody is copied
            to, source = ([group.numbers.index(i) for i in side] for side in (copies, copies.values()))
            taken, own = group.members.take(source), group.members.take(to)
            new = {name: np.array([values[i][name] for i in copies], x.dtype) for name, x in own.values.items()}
            group.members = group.members.put(to, dataclasses.replace(taken, seed=own.seed, values=new))

    def turn(self, numbers: Sequence[int], steps: int, validation: Any) -> tuple[dict[int, int], dict, dict]:
        """Trains and evaluates members; the steps each has made, and metrics of each: number -> name -> value."""
        at, train, held_out = {}, {}, {}
        for group, rows in self._of(numbers):
            members, trained = group.sweep.train(group.members.take(rows), steps)
            evaluated = group.sweep.evaluate(members, validation)
            group.members = group.members.put(rows, members)
            for place, row in enumerate(rows):
                number = group.numbers[row]
                at[number] = int(members.state.step[place])
                train[number], held_out[number] = _scalars(trained, place), _scalars(evaluated, place)
        return at, train, held_out

    def unread(self) -> set[str]:
        """Hyperparameters that no program reads; none as long as one of another structure may."""
        if len(self.groups) < self._structures:
            return set()
        unread = lambda group: group.sweep.unread({name: x[0] for name, x in group.members.values.items()})
        return set.intersection(*(set(unread(group)) for group in self.groups.values()))

    def metric_names(self, validation: Any) -> list[str]:
        """The names of what `turn` is to measure of members that have begun."""
        group = next(iter(self.groups.values()))
        return group.sweep.metric_names(group.members, validation)

    def member(self, number: int) -> tuple[Sweep, Members]:
        """The sweep of a member, and it alone."""
        group, rows = next(self._of([number]))
        return group.sweep, group.members.take(rows)

    def arrays(self) -> dict[str, Members]:
        """All members, to be saved: a group by its place."""
        groups = enumerate(self.groups.values())
        return {str(i): jax.tree.map(jax.numpy.asarray, group.members) for i, group in groups}

    def restore(self, points: Mapping[int, Values], arrays: Mapping[str, Any]) -> None:
        """Members that began with these hyperparameters, from the arrays of a checkpoint by path."""
        for place, (key, numbers) in enumerate(self._by_structure(points).items()):
            sweep = self.sweep(points[numbers[0]])
            like = sweep.begin([numbers_of(self._space, points[numbers[0]])])
            leaves = [np.asarray(arrays[f"members/{place}/{path}"]) for path in flatten(like)]
            self.groups[key] = Group(sweep, jax.tree.unflatten(jax.tree.structure(like), leaves), numbers)

    def _by_structure(self, points: Mapping[int, Values]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, values in points.items():
            found.setdefault(dumps(structure_of(self._space, values), sort_keys=True), []).append(number)
        return found

    def _of(self, numbers: Sequence[int]) -> Iterator[tuple[Group, list[int]]]:
        wanted = set(numbers)
        for group in self.groups.values():
            if rows := [row for row, number in enumerate(group.numbers) if number in wanted]:
                yield group, rows


def _scalars(metrics: Mapping[str, np.ndarray], place: int) -> dict[str, float]:
    """The numbers of one member; what has more axes than members is left out."""
    return {name: float(x[place]) for name, x in metrics.items() if x.ndim == 1}
