"""What every experiment shares around its own code: the command line, the run's folder, the last line.

    if __name__ == "__main__":
        launch(experiment, Config)

`Config` is a frozen dataclass with the fields of `experiments.training.Common`; every field is an option. A folder
holds one run: its settings, checkpoints, `metrics.jsonl`, `report.html`, and, once it is finished, `result.json`.
Started again, a finished run says so and a partial one goes on.

Laws: what the user can mend (an option, a file that is not there) is one error without a traceback: exit code 2 where
the command line is wrong, 1 where the machine does not have what it asks for. A run that ends before it has written
anything leaves no claim on its folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import jnn
from experiments.refusals import code_of, refuse
from experiments.training import FLIGHT, Common, first, settings
from jnn.parallel import mesh
from jnn.parallel.preflight.topology import make_room
from jnn.parallel.processes.join import join
from jnn.parallel.processes.supervise import USAGE
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
    jnn.backend.make_deterministic()  # before JAX first asks for its devices
    notes = sys.modules[experiment.__module__].__doc__ or ""
    config = tyro.cli(config_type, args=args, description=notes)
    try:
        _check(config)
        _fly(experiment, config) if config.preflight is not None else _launch(experiment, config, notes)
    except (ValueError, RuntimeError, OSError) as error:
        if (code := code_of(error)) is None:
            raise
        refuse(str(error), code)


def _check(config: Any) -> None:
    """Ends the process where options mean nothing together."""
    defaults = {field.name: field.default for field in dataclasses.fields(Common)}
    given = [name for name in FLIGHT[1:] if getattr(config, name) != defaults[name]]
    if given and config.preflight is None:
        names = ", ".join(f"--{name}" for name in given)
        refuse(f"{names}: of a pre-flight alone. Add --preflight with a machine, such as v5e:16x16.", USAGE)
    if config.tokens is not None and config.epochs is not None:
        refuse("--tokens and --epochs: expected at most one of them, found both.", USAGE)
    for name in ("steps", "tokens", "epochs"):
        if (value := getattr(config, name)) is not None and not 0 < value < float("inf"):
            refuse(f"--{name}: expected a positive number, found {value}.", USAGE)


def _fly(experiment: Callable[[Any], Outcome], config: Any) -> NoReturn:
    """As far as the first training, which is looked at in place of being done: no folder is made or asked for."""
    make_room(config.preflight)
    experiment(config)
    refuse("this experiment trains nothing that a pre-flight could look at.", USAGE)


def _launch(experiment: Callable[[Any], Outcome], config: Any, notes: str) -> None:
    join()
    mesh(config.mesh)  # raises now for one that is not of these devices: before data are read, or a folder is made
    folder = Path(config.workdir)
    try:
        with claimed(folder, settings(config)) as finished, page(folder, config.serve if first() else None):
            result = finished or _run(experiment, config, notes, folder)
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


@contextlib.contextmanager
def claimed(folder: Path, config: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
    """`claim` meanwhile, and for good once the run has written anything beside its settings."""
    new = first() and not (folder / "config.json").exists()
    finished = claim_together(folder, config)
    try:
        yield finished
    finally:
        if new and [path.name for path in folder.iterdir()] == ["config.json"]:
            (folder / "config.json").unlink()


def claim_together(folder: Path, config: dict[str, Any]) -> dict[str, Any] | None:
    """`claim` by the first process of a job, for all of them: its result, or its error."""
    result, problem = None, None
    if first():
        try:
            result = claim(folder, config)
        except OSError as error:
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
