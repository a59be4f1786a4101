"""What every experiment shares around its own code: the command line, the run's folder, the last line.

    if __name__ == "__main__":
        launch(experiment, Config)

`Config` is a frozen dataclass with the fields of `experiments.training.Common`; every field is an option. A folder
holds one run: its settings, checkpoints, `metrics.jsonl`, `report.html`, and, once it is finished, `result.json`.
Started again, a finished run says so and a partial one goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import jnn
from experiments.training import first, settings
from jnn.parallel.processes.join import join
from jnn.train import digest
from jnn.train.log.live import serve
from jnn.train.log.report import write_report
from jnn.train.paths import write_whole
from jnn.train.preemption import Preempted
from jnn.train.processes import from_first


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an experiment hands back.

    params: the final parameters, for the digest and the table of parameters.
    metrics: the final numbers.
    history: rows for the curves, from `jnn.train.fit`.
    figures: caption -> picture.
    """

    params: Any
    metrics: Mapping[str, Any]
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    figures: Mapping[str, Figure] = dataclasses.field(default_factory=dict)


def launch(experiment: Callable[[Any], Outcome], config_type: type, args: Sequence[str] | None = None) -> None:
    """Parses options, runs the experiment in its folder, writes the report, prints the table and the JSON line."""
    notes = sys.modules[experiment.__module__].__doc__ or ""
    config = tyro.cli(config_type, args=args, description=notes)
    folder = Path(config.workdir)
    if config.preflight is not None:
        try:
            experiment(config)  # as far as its first training: no folder is made or asked for
        except (ValueError, RuntimeError) as error:
            sys.exit(f"error: {error}")
        sys.exit("error: this experiment trains nothing that a pre-flight could look at.")
    join()
    try:
        finished = claim_together(folder, settings(config))
        with page(folder, config.serve if first() else None):
            result = finished or _run(experiment, config, notes, folder)
    except (FileNotFoundError, FileExistsError, BlockingIOError) as error:
        sys.exit(f"error: {error}")
    except Preempted as end:
        print(f"{folder}: {end}.", file=sys.stderr)
        raise
    if first():
        if finished:
            print(f"This run is finished; its report is {folder / 'report.html'}.", file=sys.stderr)
        print(json.dumps(result), flush=True)


@contextlib.contextmanager
def page(folder: Path, port: int | None) -> Iterator[None]:
    """Serves the run's page meanwhile, if a port was asked for."""
    if port is None:
        yield
    else:
        with serve(folder, port) as live:
            print(f"follow the run at {live.url}", file=sys.stderr)
            yield


def claim_together(folder: Path, config: dict[str, Any]) -> dict[str, Any] | None:
    """`claim` by the first process of a job, for all of them: its result, or its error."""
    result, problem = None, None
    if first():
        try:
            result = claim(folder, config)
        except FileExistsError as error:
            problem = str(error)
    result, problem = from_first([result, problem])
    if problem is not None:
        raise FileExistsError(problem)
    return result


def claim(folder: Path, config: dict[str, Any]) -> dict[str, Any] | None:
    """Makes the folder this run's, or finds it to be; returns the result if the run is finished.

    Raises:
      FileExistsError: the folder holds a run with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ours, path = json.loads(json.dumps(config)), folder / "config.json"
    if path.exists():
        theirs = json.loads(path.read_text())
        if theirs != ours:
            differ = [
                f"{k} {theirs.get(k)} there, {ours.get(k)} here" for k in theirs | ours if theirs.get(k) != ours.get(k)
            ]
            raise FileExistsError(
                f"{folder} holds a run with other settings ({'; '.join(differ)}). Choose another --workdir."
            )
    else:
        write_json(path, ours)
    result = folder / "result.json"
    return json.loads(result.read_text()) if result.exists() else None


def write_json(path: Path, value: Any) -> None:
    """Writes a file whole or not at all."""
    write_whole(path, json.dumps(value, indent=1))


def _run(experiment: Callable[[Any], Outcome], config: Any, notes: str, folder: Path) -> dict[str, Any]:
    start = time.perf_counter()
    outcome = experiment(config)
    seconds = round(time.perf_counter() - start, 2)
    metrics = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in outcome.metrics.items()}
    result = metrics | {"seconds": seconds, "params_digest": digest(outcome.params)}
    if not first():
        return result
    heading, _, notes = notes.strip().partition("\n")
    title = heading.rstrip(".") or folder.name
    write_report(
        folder / "report.html",
        title=title,
        notes=notes,
        metrics=result,
        config=dataclasses.asdict(config),
        history=outcome.history,
        figures=outcome.figures,
        parameters=_parameters(outcome.params),
    )
    _print_table(title, result, folder)
    write_json(folder / "result.json", result)
    return result


def _parameters(params: Any) -> str:
    rows = [f"{path}  {'x'.join(map(str, x.shape))}  {x.dtype}" for path, x in jnn.flatten(params).items()]
    return "\n".join([*rows, f"{jnn.count(params):,} in all"])


def _print_table(title: str, result: Mapping[str, Any], folder: Path) -> None:
    table = Table(title=title, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")  # whole digests
    for name, value in result.items():
        table.add_row(name, f"{value:.5g}" if isinstance(value, float) else str(value))
    console = Console(markup=False)
    console.print(table)
    console.print(f"report: {folder / 'report.html'}", soft_wrap=True)
