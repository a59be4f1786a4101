"""What every experiment shares around its own code: the command line, the run's folder, the last line.

    if __name__ == "__main__":
        launch(experiment, Config)

`Config` is a frozen dataclass with the fields of `experiments.options.Common`; every field is an option. A folder
holds one run: its settings, checkpoints, `metrics.jsonl`, `report.html`, and, once it is finished, `result.json`.
Started again, a finished run says so and a partial one goes on.

Laws: what the user can mend (an option, a file that is not there) is one error without a traceback: exit code 2 where
the command line is wrong, 1 where the machine does not have what it asks for. A run that ends before it has written
anything leaves no claim on its folder. The result is on the disk before anything is drawn or printed: a picture, a
table or a terminal that fails is one line on standard error, and a report that is missing is made by the same command.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import jnn
from experiments import compiled
from experiments.claims import claimed, write_json
from experiments.options import check, description, settings, shortened
from experiments.refusals import code_of, refuse, words
from experiments.training import first
from jnn.launch import USAGE, initialize
from jnn.parallel import mesh
from jnn.preflight import set_cpu_devices
from jnn.processes import from_first
from jnn.strict_json import dumps
from jnn.terminal import Terminal, open_missing, say
from jnn.train import digest, read_capsule
from jnn.train.log.live import serve
from jnn.train.log.report import write_report


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an experiment hands back.

    params: the final parameters, for the digest and the table of parameters.
    metrics: the final numbers.
    history: rows for the curves, from `jnn.train.fit`.
    figures: caption -> what draws the picture, once the result is safe.
    """

    params: Any
    metrics: Mapping[str, Any]
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    figures: Mapping[str, Callable[[], Figure]] = dataclasses.field(default_factory=dict)


def launch(experiment: Callable[[Any], Outcome], config_type: type, args: Sequence[str] | None = None) -> None:
    """Parses options, runs the experiment in its folder, writes the report, prints the table and the JSON line."""
    open_missing()
    jnn.backend.make_deterministic()  # before JAX first asks for its devices
    notes = sys.modules[experiment.__module__].__doc__ or ""
    config = shortened(tyro.cli(config_type, args=args, description=description(notes)))
    try:
        check(config)
        if config.preflight.machine is not None:
            _fly(experiment, config)
        elif config.replay is not None:
            _replay(experiment, config)
        else:
            _launch(experiment, config, notes)
    except (ValueError, RuntimeError, OSError, ImportError) as error:
        if (code := code_of(error)) is None:
            raise
        refuse(words(error, config.workdir), code)


def _fly(experiment: Callable[[Any], Outcome], config: Any) -> NoReturn:
    """As far as the first training, which is looked at in place of being done: no folder is made or asked for."""
    set_cpu_devices(config.preflight.machine)
    experiment(config)
    refuse("this experiment trains nothing that a pre-flight could look at.", USAGE)


def _replay(experiment: Callable[[Any], Outcome], config: Any) -> NoReturn:
    """As far as the run that wrote the capsule, whose step is made again; no folder is made or written to.

    What keeps it from being made, whatever that is, has exit code 2: 1 would say that the step is finite.
    """
    try:
        if initialize():
            refuse("--replay: of one process alone. Start the experiment without a launcher.", USAGE)
        mesh(config.mesh)
        capsule = read_capsule(config.replay)
        experiment(config)
    except Exception as error:
        if code_of(error) is None:
            traceback.print_exc()
            sys.exit(USAGE)
        refuse(words(error, config.workdir), USAGE)
    which = f"the run {capsule.run!r}" if capsule.run else "a run without a name"
    refuse(f"--replay: {capsule.path} is of {which}, and this experiment trains none such.", USAGE)


def _launch(experiment: Callable[[Any], Outcome], config: Any, notes: str) -> None:
    initialize()
    if config.compilation_cache:
        compiled.keep()
    mesh(config.mesh)  # raises now for one that is not of these devices: before data are read, or a folder is made
    folder = Path(config.workdir)
    terminal = Terminal(sys.stdout)
    with claimed(folder, settings(config)) as known, page(folder, config.serve if first() else None):
        result = known if known and _is_told(folder) else _run(experiment, config, notes, folder, known, terminal)
    if first() and not say(dumps(result), terminal):
        say(f"standard output cannot be written; the result is in {folder / 'result.json'}.")


def _is_told(folder: Path) -> bool:
    """Whether a finished run has its report, which was written after its result."""
    told = from_first((folder / "report.html").exists() if first() else None)
    if told and first():
        say(f"This run is finished; its report is {folder / 'report.html'}.")
    return told


@contextlib.contextmanager
def page(folder: Path, port: int | None) -> Iterator[None]:
    """Serves the run's page meanwhile, if a port was asked for."""
    if port is None:
        yield
    else:
        with serve(folder, port) as live:
            say(f"follow the run at {live.url}")
            yield


def _run(experiment, config: Any, notes: str, folder: Path, known: dict[str, Any] | None, terminal: Terminal):
    """The result, which is on the disk first of all; then what shows it."""
    start = time.perf_counter()
    outcome = experiment(config)
    seconds = round(time.perf_counter() - start, 2)
    metrics = {name: _plain(value) for name, value in outcome.metrics.items()}
    result = known or metrics | {"seconds": seconds, "params_digest": digest(outcome.params)}
    if not first():
        return result
    try:
        write_json(folder / "result.json", result)
    except OSError:  # a full disk: then it is printed at least
        say(dumps(result), terminal)
        raise
    heading, _, notes = notes.strip().partition("\n")
    title = heading.rstrip(".") or folder.name
    _attempt("the report", lambda: _report(folder, title, notes, config, outcome, result))
    _attempt("the table", lambda: _print_table(title, result, folder, terminal))
    return result


def _plain(value: Any) -> Any:
    """A JSON value of a metric: numbers to six digits, and text for what JSON lacks, since the run is over."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, int | str) else str(value)


def _attempt(what: str, act: Callable[[], Any]) -> None:
    """Does what a finished run is not to fail by, and says so where it fails."""
    try:
        act()
    except Exception as error:
        say(f"{what} failed: {type(error).__name__}: {' '.join(str(error).split())}")


def _report(folder: Path, title: str, notes: str, config: Any, outcome: Outcome, result: dict[str, Any]) -> None:
    for problem in write_report(
        folder / "report.html",
        title=title,
        notes=notes,
        metrics=result,
        config={name: value for name, value in vars(config).items() if name != "preflight"},
        history=outcome.history,
        figures=outcome.figures,
        parameters=_parameters(outcome.params),
    ):
        say(f"the report: {problem}")


def _parameters(params: Any) -> str:
    params = jax.tree.map(lambda x: x if hasattr(x, "shape") else np.asarray(x), params)  # numbers are parameters, too
    rows = [f"{path}  {'x'.join(map(str, x.shape))}  {x.dtype}" for path, x in jnn.flatten(params).items()]
    return "\n".join([*rows, f"{jnn.count_params(params):,} in all"])


def _print_table(title: str, result: Mapping[str, Any], folder: Path, terminal: Terminal) -> None:
    table = Table(title=title, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")  # whole digests
    for name, value in result.items():
        table.add_row(name, f"{value:.5g}" if isinstance(value, float) else str(value))
    console = Console(markup=False, file=terminal)
    console.print(table)
    if (report := folder / "report.html").exists():
        console.print(f"report: {report}", soft_wrap=True)
