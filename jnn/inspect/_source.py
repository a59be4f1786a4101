"""Where in the source something comes from: the same for an equation of a jaxpr and an instruction of HLO."""

from __future__ import annotations

import contextlib
import dataclasses
import linecache
import math
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
from jax.extend.core import JaxprEqn

from jnn.inspect._bodies import shard_axes

JAX = (os.path.dirname(jax.__file__) + os.sep, "<frozen")  # its own files, and what no file holds
_HERE = os.path.dirname(__file__) + os.sep


class Line(NamedTuple):
    """Line of source, in a function."""

    file: str
    number: int
    function: str

    @property
    def code(self) -> str:
        """The text of the line, empty where the file cannot be read."""
        return linecache.getline(self.file, self.number).strip()

    def __str__(self) -> str:
        return f"{self.file}:{self.number} ({self.function})"


@dataclasses.dataclass(frozen=True)
class Place:
    """Source location: the stack of calls that made something, innermost first, without JAX's own.

    >>> print(Place((Line("/me/jnn/layers/_linear.py", 81, "linear"), Line("/me/jnn/models/_mlp.py", 40, "mlp"))))
    layers/_linear.py:81 < models/_mlp.py:40
    """

    frames: tuple[Line, ...] = ()

    def __str__(self) -> str:
        lines: dict[str, str] = {}
        for file, line, _ in self.frames:
            lines.setdefault(file, f"{'/'.join(file.split('/')[-2:])}:{line}")
        return " < ".join(list(lines.values())[:2]) or "?"

    @classmethod
    def of(cls, frames: Iterable[tuple[str, int, str]]) -> Place:
        """Without what is `between`."""
        return cls(tuple(Line(*frame) for frame in frames if not between(frame[0])))

    @property
    def line(self) -> tuple[str, int] | None:
        """The file and line that wrote it down."""
        return self.frames[0][:2] if self.frames else None


@dataclasses.dataclass(frozen=True)
class Frame:
    """The place and the scope of an equation; within one that runs a jaxpr, those of its body's start from here.

    `shards` are the mesh axes, and their sizes, of `shard_map`s around it that know what differs along them.
    """

    place: Place = dataclasses.field(default_factory=Place)
    scope: str = ""
    shards: tuple[tuple[str, int], ...] = ()

    def enter(self, equation: JaxprEqn) -> Frame:
        """The frame of an equation within this one; where JAX alone made it, at the same place."""
        place, shards, params = place_of(equation), self.shards, equation.params
        if equation.primitive.name == "shard_map":
            shards = shards + shard_axes(params) if params["check_vma"] else ()
        return Frame(place if place.frames else self.place, f"{self.scope}/{equation.source_info.name_stack}", shards)

    def alike(self, equation: JaxprEqn) -> int:
        """How many devices compute the same, as far as JAX knows: those along axes that no operand differs along."""
        if not self.shards:
            return 1
        differ = {axis for v in equation.invars if hasattr(v.aval, "mat") for axis in v.aval.mat.varying}
        return math.prod(size for axis, size in self.shards if axis not in differ)


def place_of(equation: JaxprEqn) -> Place:
    """The user's frames of the call that made an equation."""
    traceback = equation.source_info.traceback
    if traceback is None:
        return Place()
    frames = (frame for frame in traceback.frames if not frame.file_name.startswith(JAX))
    return Place.of((frame.file_name, frame.line_num, frame.function_name) for frame in frames)


def between(file: str) -> bool:
    """Whether a file is this room's own: what stands between a program and who inspects it."""
    return file.startswith(_HERE)


@contextlib.contextmanager
def own_source_lines() -> Iterator[None]:
    """What is compiled within has its own source lines and scopes.

    JAX's persistent cache of compiled programs would give an equal program's of another place in the source.
    """
    name = "jax_compilation_cache_include_metadata_in_key"
    before = getattr(jax.config, name)
    jax.config.update(name, True)
    try:
        yield
    finally:
        jax.config.update(name, before)
