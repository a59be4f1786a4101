"""Names: where in a state dict the array of a path is.

source(path, names) -> Source(name, first, ...)             the first pattern that matches, or torch's own naming
arrays_of(source, state_dict) -> sizes, [name, ...]         the layers 0, 1, ... of "{i}", and within, of "{j}"
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

# our word for a leaf: torch's
LEAVES = {
    "w": "weight",
    "b": "bias",
    "scale": "weight",
    "zero_centered_scale": "weight",
    "bias": "bias",
    "table": "weight",
    "slope": "weight",
    "mean": "running_mean",
    "var": "running_var",
}
INDEX = re.compile(r"\{[ij]\+?(\d*)\}")
PART = re.compile(r"(.*)\[(:, *)?(\d+)(?::(\d+))?/([1-9]\d*)\]")

Names = Mapping[str, str | tuple[str, str]]


class Source(NamedTuple):
    """Where an array is: a name, from which to before which part of it, of rows or columns, and how its axes lie."""

    name: str
    first: int = 0
    last: int = 1
    parts: int = 1
    columns: bool = False
    axes: str | None = None

    @property
    def stacked(self) -> int:
        """Along how many leading axes it is put together of the arrays of several layers."""
        return len(INDEX.findall(self.name))


def source(path: str, names: Names) -> Source:
    """The source of a path.

    Raises:
      ValueError: the pattern that matches names a part that there is not.
    """
    for pattern, given in names.items():
        name, axes = (given, None) if isinstance(given, str) else given
        if match := matches(pattern, path):
            texts = [*match.groups()]
            if pattern.endswith("*"):
                texts[-1] = _translated(texts[-1])
            for text in texts:
                name = name.replace("*", text.replace("/", "."), 1)
            return _with_part(name, axes)
    return Source(_translated(path).replace("/", "."))


def matches(pattern: str, path: str) -> re.Match[str] | None:
    """Whether a path is of this pattern."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", "(.*)"), path)


def numbered(source: Source, *counted: int) -> str:
    """The name of one array of a stack: "{i}" is the first number, "{i+1}" one more; "{j}" is the second."""
    left = iter(counted)
    return INDEX.sub(lambda first: str(int(first[1] or 0) + next(left)), source.name)


def arrays_of(source: Source, state_dict: Mapping[str, Any]) -> tuple[tuple[int, ...], list[str]]:
    """How many there are along each leading axis, as far as they go without a gap; and all names, the last fastest."""
    sizes = []
    for axis in range(source.stacked):
        along = (numbered(source, *(n if a == axis else 0 for a in range(source.stacked))) for n in itertools.count())
        sizes.append(sum(1 for _ in itertools.takewhile(state_dict.__contains__, along)))
    names = [numbered(source, *at) for at in itertools.product(*map(range, sizes))]
    return tuple(sizes), names if source.stacked or source.name in state_dict else []


def _with_part(name: str, axes: str | None) -> Source:
    match = PART.fullmatch(name)
    if match is None:
        return Source(name, axes=axes)
    first, parts = int(match[3]), int(match[5])
    last = first + 1 if match[4] is None else int(match[4])
    if not first < last <= parts:
        raise ValueError(f"load_state_dict: expected a part below {parts}, counted from 0, found {name!r}.")
    return Source(match[1], first, last, parts, match[2] is not None, axes)


def _translated(path: str) -> str:
    """A path whose last part is called as torch calls it."""
    parents, slash, leaf = path.rpartition("/")
    return parents + slash + LEAVES.get(leaf, leaf)
