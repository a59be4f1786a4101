"""Where in the source something comes from: the same for an equation of a jaxpr and an instruction of HLO."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable

_HERE = os.path.dirname(__file__) + os.sep


def between(file: str) -> bool:
    """Whether a file is this room's own: what stands between a program and who inspects it."""
    return file.startswith(_HERE)


@dataclasses.dataclass(frozen=True)
class Place:
    """Source location: the stack of calls that made something, innermost first, without JAX's own.

    >>> print(Place((("/me/jnn/layers/_linear.py", 81, "linear"), ("/me/jnn/models/_mlp.py", 40, "mlp"))))
    layers/_linear.py:81 < models/_mlp.py:40
    """

    frames: tuple[tuple[str, int, str], ...] = ()  # file, line, function

    def __str__(self) -> str:
        lines: dict[str, str] = {}
        for file, line, _ in self.frames:
            lines.setdefault(file, f"{'/'.join(file.split('/')[-2:])}:{line}")
        return " < ".join(list(lines.values())[:2]) or "?"

    @classmethod
    def of(cls, frames: Iterable[tuple[str, int, str]]) -> Place:
        """Without what is `between`."""
        return cls(tuple(frame for frame in frames if not between(frame[0])))

    @property
    def line(self) -> tuple[str, int] | None:
        """The file and line that wrote it down."""
        return self.frames[0][:2] if self.frames else None
