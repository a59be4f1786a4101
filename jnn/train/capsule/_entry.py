"""How a program was started, and so how it is started again.

how_started() -> Entry | None        of this process
str(entry) -> "python -m train --steps 3"
"""

from __future__ import annotations

import dataclasses
import os
import sys


@dataclasses.dataclass(frozen=True)
class Entry:
    """How a run was started: `python -m module *argv`, or `python script *argv`.

    Exactly one of `module` and `script` is given; `folder` is where it was started.
    """

    argv: tuple[str, ...]
    module: str | None = None
    script: str | None = None
    folder: str = "."

    def __str__(self) -> str:
        return " ".join(("python", *(("-m", self.module) if self.module else (str(self.script),)), *self.argv))


def how_started() -> Entry | None:
    """How this process was started, or None where that was from no file, such as `python -c` or a notebook."""
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return Entry(tuple(sys.argv[1:]), module=spec.name.removesuffix(".__main__"), folder=os.getcwd())
    return Entry(tuple(sys.argv[1:]), script=os.path.abspath(file), folder=os.getcwd()) if file else None
