"""Model card: what the files beside it are, where their weights come from, and what was measured."""

from __future__ import annotations

import hashlib
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jnn
from jnn import checks
from jnn.files import write_whole
from jnn.inspect import format_bytes
from jnn.param import Params, count_params, flatten
from jnn.train import digest


def model_card(
    path: str | Path,
    p: Params,
    *,
    title: str,
    about: str = "",
    files: Iterable[str | Path] = (),
    metrics: Mapping[str, Any] | None = None,
    command: Sequence[str] | None = None,
) -> Path:
    """Model card: the hash of the weights, versions, metrics, parameters and the command, as Markdown beside the files.

    See "Model Cards for Model Reporting", Mitchell et al., 2019.

    Args:
      path: of the card, such as `folder/README.md`, which the Hub shows.
      p: parameters.
      title: a heading.
      about: a paragraph on data, network and use.
      files: exported files, which are listed with their sizes and hashes.
      metrics: what was measured, by name: numbers, or metrics of `jnn.metrics`.
      command: what made the files; this process's by default.

    Returns:
      The path.

    Raises:
      TypeError: p is a spec.
      FileNotFoundError: one of the files is not there.

    >>> import tempfile
    >>> card = model_card(f"{tempfile.mkdtemp()}/README.md", {"w": np.ones(2)}, title="Two ones", metrics={"loss": 0.5})
    >>> [line for line in card.read_text().splitlines() if line.startswith(("#", "| loss", "| `w`"))]
    ['# Two ones', '## Measured', '| loss | 0.5 |', '## Parameters', '| `w` | float64 | 2 |', '## Made by']
    """
    path = Path(path)
    for name, x in flatten(p).items():
        checks.array("export.model_card", x, f"params[{name!r}]")
    arrays = {name: np.asarray(x) for name, x in flatten(p).items()}
    rows = [[f"`{name}`", str(x.dtype), "x".join(map(str, x.shape)) or "1"] for name, x in arrays.items()]
    sections = [
        f"# {title}",
        about,
        _section("Files", ["file", "size", "SHA-256"], [_of_file(Path(file)) for file in files]),
        _section("Measured", ["what", "value"], [[name, _number(x)] for name, x in (metrics or {}).items()]),
        _section("Parameters", ["path", "dtype", "shape"], rows),
        f"{count_params(p):,} numbers; their digest (`jnn.train.digest`) is `{digest(p)}`.",
        f"## Made by\n\n    {shlex.join(sys.orig_argv if command is None else command)}",
        f"jnn {jnn.__version__}, JAX {jax.__version__}, NumPy {np.__version__}, Python {platform.python_version()}.",
    ]
    write_whole(path, "\n\n".join(filter(None, sections)) + "\n")
    return path


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A heading and a table; nothing where there are no rows."""
    line = lambda cells: f"| {' | '.join(cells)} |"
    return "\n".join([f"## {title}\n", line(head), line(["---"] * len(head)), *map(line, rows)]) if rows else ""


def _of_file(file: Path) -> list[str]:
    content = file.read_bytes()
    return [f"`{file.name}`", format_bytes(len(content)), f"`{hashlib.sha256(content).hexdigest()}`"]


def _number(x: Any) -> str:
    x = x.value() if callable(getattr(x, "value", None)) else x  # a metric's
    x = x.item() if hasattr(x, "item") else x
    return f"{x:.6g}" if isinstance(x, float) else str(x)
