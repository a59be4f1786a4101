"""Where an equation of a jaxpr stands."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Iterator

import jax
from jax.extend.core import JaxprEqn

from jnn.inspect._source_location import Place

_JAX = os.path.dirname(jax.__file__) + os.sep


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
            own = tuple((axis, params["mesh"].shape[axis]) for axis in params["newly_manual_axes"])
            shards = shards + own if params["check_vma"] else ()
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
    frames = traceback.frames
    return Place.of((f.file_name, f.line_num, f.function_name) for f in frames if not _foreign(f.file_name))


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


@functools.cache
def _foreign(file: str) -> bool:
    """JAX's own files, and what no file holds."""
    return file.startswith((_JAX, "<frozen"))
