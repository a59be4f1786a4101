"""Results by processor, `results.json`, to which every machine adds its column; the tables and the plot made of it.

python -m experiments.benchmarks --record      measures, and writes this processor's results
python -m experiments.benchmarks.results       writes the tables into README.md and docs/performance.md, and the plot

A cell is how many times as long as jnn's a step takes, the median of the rounds: one number for each processor, in the
order of their names. Runs of some workloads replace these alone; those of another version of a framework replace all.
"""

from __future__ import annotations

import argparse
import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks.frameworks import FRAMEWORKS
from experiments.benchmarks.machine import Machine
from experiments.benchmarks.problems import LEAVES, NAMES, PROBLEMS
from jnn.files import write_whole
from jnn.strict_json import dumps, loads

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results.json")
PLOT = ROOT / "docs" / "images" / "speed.svg"
COSTS = ("step_ms", "median_ms", "first_step_s", "peak_mb", "rounds")
ALL = tuple(name for name in FRAMEWORKS if name != "jnn")
PEERS = ("jax", "nnx", "linen", "haiku", "equinox", "keras", "torch")
TABLES: dict[str, tuple[Sequence[str], Sequence[str]]] = {  # file: workloads, frameworks
    "README.md": ([name for name in NAMES if name not in LEAVES], PEERS),
    "docs/performance.md": (NAMES, ALL),
}
BEGIN, END = "<!-- speed: written by experiments.benchmarks.results -->\n", "<!-- speed: until here -->\n"

Results = dict[str, dict[str, Any]]  # processor and cores -> {"measured", "versions", "import", "workloads"}


def read(path: Path = RESULTS) -> Results:
    """What was recorded, the processors in alphabetical order; nothing where there is no file."""
    return dict(sorted(loads(path.read_text()).items())) if path.exists() else {}


def record(
    path: Path,
    machine: Machine,
    rows: Iterable[Mapping[str, Any]],
    versions: Mapping[str, str],
    imports: Mapping[str, float] | None = None,
) -> None:
    """Adds rows of `table.summarize` to the machine's results: what was measured again is replaced."""
    results, name = read(path), str(machine)
    own = results.get(name, {"versions": {}, "workloads": {}})
    if any(own["versions"].get(framework, version) != version for framework, version in versions.items()):
        own = {"versions": {}, "workloads": {}}
    own |= {"measured": datetime.date.today().isoformat(), "versions": own["versions"] | versions}
    own |= {"import": imports} if imports else {}
    for row in rows:
        cell = {cost: row[cost] for cost in COSTS}
        if row["step_ms / jnn"]:
            cell["ratio"] = list(row["step_ms / jnn"])
        own["workloads"].setdefault(row["workload"], {})[row["framework"]] = cell
    write_whole(path, dumps(results | {name: own}, indent=1, sort_keys=True) + "\n")


def ratio(own: Mapping[str, Any], workload: str, framework: str) -> float | None:
    """How many times as long as jnn's a step takes on a processor; None where it was not measured beside jnn's."""
    found = own["workloads"].get(workload, {}).get(framework, {}).get("ratio")
    return found[0] if found else None


def cell(results: Results, workload: str, framework: str) -> str:
    """One number for each processor; nothing where no processor has one."""
    found = [ratio(own, workload, framework) for own in results.values()]
    return " / ".join(
        "-" if one is None else f"{one:.3g}" if one >= 10 else f"{one:.2f}" for one in found if any(found)
    )


def markdown(results: Results, workloads: Sequence[str], frameworks: Sequence[str]) -> str:
    """Where it was measured, and a table of what was."""
    cells = {w: {f: cell(results, w, f) for f in frameworks} for w in workloads}
    columns = [f for f in frameworks if any(row[f] for row in cells.values())]
    rows = [[PROBLEMS[w].title, *(row[f] for f in columns)] for w, row in cells.items() if any(row.values())]
    header = ["", *(FRAMEWORKS[f].title for f in columns)]
    first, *lines = (" ".join(["|", " | ".join(line).lstrip(), "|"]) for line in [header, *rows])
    return "\n".join([*places(results), "", first, "|---" * len(header) + "|", *lines])


def places(results: Results) -> list[str]:
    """A line for each processor, in the order of a cell's numbers."""
    lines = []
    for name, own in results.items():
        said = [" ".join(pair) for pair in own["versions"].items()]
        said += [f"`import jnn` takes {own['import']['ratio']:.2f} times `import jax`"] if "import" in own else []
        lines.append(f"- {name}, {own['measured']}: {', '.join(said)}")
    return lines


def documented(text: str, results: Results, name: str) -> str:
    """The text of a file of `TABLES` with its table, and the plot below."""
    plot = PLOT.relative_to((ROOT / name).parent).as_posix()
    return between(text, f"{markdown(results, *TABLES[name])}\n\n![The same as a plot]({plot})")


def between(text: str, table: str) -> str:
    """The text with this table where its own stands."""
    if len(parts := re.split(f"(?<={re.escape(BEGIN)})|(?={re.escape(END)})", text)) != 3:
        raise ValueError(f"Expected one table between {BEGIN.strip()} and {END.strip()}, found {len(parts) - 2}.")
    return f"{parts[0]}\n{table}\n\n{parts[2]}"


def main() -> None:
    """Writes the tables and the plot."""
    from experiments.benchmarks.plot import speed, write_svg

    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if not (results := read()):
        raise SystemExit(f"There is no {RESULTS.name} yet: python -m experiments.benchmarks --record")
    for name in TABLES:
        write_whole(ROOT / name, documented((ROOT / name).read_text(), results, name))
    write_svg(speed(results), PLOT)


if __name__ == "__main__":
    main()
