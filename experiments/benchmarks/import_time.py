"""What `import jnn` costs beside `import jax`: fresh processes, interleaved, minima over many."""

from __future__ import annotations

import subprocess
from pathlib import Path

IMPORTS_PER_ROUND = 5
TIMED = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds_to_import(package: str, python: str, root: Path) -> float:
    """Wall seconds of `import package` in a new interpreter."""
    command = [python, "-c", TIMED.format(package)]
    return float(subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout)


def import_ratio(rounds: int, python: str, root: Path) -> dict[str, float]:
    """Seconds to import jnn and jax, each the least over all processes, and their ratio with its spread.

    The spread is that of the ratio of single rounds' minima.
    """
    names = ("jax", "jnn")
    best = []
    for _ in range(rounds):
        times = [[seconds_to_import(name, python, root) for name in names] for _ in range(IMPORTS_PER_ROUND)]
        best.append([min(column) for column in zip(*times, strict=True)])
    jax, jnn = (min(column) for column in zip(*best, strict=True))
    ratios = [ours / theirs for theirs, ours in best]
    return {"jnn_s": jnn, "jax_s": jax, "ratio": jnn / jax, "least": min(ratios), "most": max(ratios)}
