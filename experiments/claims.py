"""Whose a run's folder is: one run's, with its settings, and once it is finished with its result.

with claimed(folder, settings) as result    by the first process of a job, for all of them
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.refusals import words
from experiments.training import first
from jnn.files import write_whole
from jnn.processes import from_first
from jnn.strict_json import dumps, loads
from jnn.train import check_settings


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
            problem = words(error, str(folder))
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
    ours, path = loads(dumps(config)), folder / "config.json"
    if path.exists():
        theirs = _object(path, "the settings of a run")
        try:
            check_settings(folder, theirs, ours)
        except ValueError as error:
            raise FileExistsError(f"{error} The folder is --workdir.") from None
    else:
        write_json(path, ours)
    result = folder / "result.json"
    return _object(result, "the result of a run") if result.exists() else None


def _object(path: Path, what: str) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        found = loads(path.read_bytes())
    except ValueError as error:
        raise FileExistsError(f"{path} is not {what}: {error}. Move it away, or choose another --workdir.") from error
    if not isinstance(found, dict):
        raise FileExistsError(f"{path} is not {what}: no JSON object. Move it away, or choose another --workdir.")
    return found


def write_json(path: Path, value: Any) -> None:
    """Writes a file whole or not at all."""
    write_whole(path, dumps(value, indent=1))
