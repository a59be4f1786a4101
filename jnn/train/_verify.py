"""Whether a run that is killed and started again is the run that was not: a check for everybody's test suite.

    verify_resume("tests.my_model:run", folder, kill_at=[50])

Each part is a process of its own, as it would be: nothing that was only in memory can help.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jnn.param import flatten
from jnn.strict_json import dumps, loads
from jnn.train._context import Batch
from jnn.train._watch import watch
from jnn.train.checkpoint import digest


def verify_resume(run: str, folder: str | Path, *, kill_at: Sequence[int], seconds: float = 600.0) -> dict[str, Any]:
    """Resume test: runs `run` once undisturbed and once killed at each of these steps, and compares bit by bit.

    Args:
      run: "module:function", importable from the current folder: a function of a folder (str) that trains with `fit`
        and `Checkpoints(folder)`, resumes what it finds there, and returns `fit`'s (state, history).
      folder: where both runs go; empty or missing.
      kill_at: steps, rising; the process dies as each is about to be made.
      seconds: how long one process may take.

    Returns:
      What both have in common: digests of the state's parts, the history, and how many steps were compared.

    Raises:
      AssertionError: they differ; names the parts of the state, the rows or the steps whose batch was another.
      RuntimeError: a process failed, or was not killed: with the end of what it wrote.
    """
    folder = Path(folder)
    whole = _process(run, folder / "whole", None, seconds)
    seen: dict[str, str] = {}
    for step in kill_at:
        seen |= _process(run, folder / "killed", step, seconds)["batches"]
    resumed = _process(run, folder / "killed", None, seconds)
    seen |= resumed["batches"]
    differ = [f"{part} of the state" for part in whole["state"] if whole["state"][part] != resumed["state"].get(part)]
    if whole["history"] != resumed["history"]:
        differ.append(f"the history: {_first_difference(whole['history'], resumed['history'])}")
    differ += [f"the batch of step {step}" for step, batch in whole["batches"].items() if seen.get(step) != batch][:5]
    if differ:
        raise AssertionError(f"verify_resume: {run}, killed at {list(kill_at)}, differs in " + "; ".join(differ) + ".")
    return {"state": whole["state"], "history": whole["history"], "steps": len(whole["batches"])}


def _process(run: str, folder: Path, kill_at: int | None, seconds: float) -> dict[str, Any]:
    """One process, to its end; what it tells of itself."""
    folder.mkdir(parents=True, exist_ok=True)
    told = folder.parent / f"{folder.name}.told.jsonl"
    told.unlink(missing_ok=True)
    command = [sys.executable, "-m", "jnn.train._verify", run, str(folder), str(told), str(kill_at)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds)
    expected = 0 if kill_at is None else -signal.SIGKILL
    if done.returncode != expected:
        raise RuntimeError(
            f"verify_resume: {run} ended with code {done.returncode}, expected {expected} "
            f"({'killed at step ' + str(kill_at) if expected else 'the end'}):\n{done.stderr[-2000:]}"
        )
    lines = [loads(line) for line in told.read_text().splitlines()]
    batches = {str(line["step"]): line["batch"] for line in lines if "batch" in line}
    return {"batches": batches, **({} if kill_at is not None else lines[-1])}


def _first_difference(a: list[Any], b: list[Any]) -> str:
    for one, other in zip(a, b, strict=False):
        if one != other:
            return f"{one} against {other}"
    return f"{len(a)} rows against {len(b)}"


def main(run: str, folder: str, told: str, kill_at: str) -> None:
    """A part of `verify_resume`, in its process."""
    module, _, function = run.partition(":")
    with open(told, "a") as out:

        def tell(line: dict[str, Any]) -> None:
            out.write(dumps(line) + "\n")
            out.flush()

        def observe(step: int, batch: Batch) -> None:
            if str(step) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            tell({"step": step, "batch": digest(batch)})

        watch(observe)
        state, history = getattr(importlib.import_module(module), function)(folder)
        fields: dict[str, dict[str, Any]] = {}
        for path, leaf in flatten(state).items():
            field, _, rest = path.partition("/")
            fields.setdefault(field, {})[rest] = leaf
        parts = {name: digest(leaves) for name, leaves in fields.items()}
        tell({"state": parts, "history": history})


if __name__ == "__main__":
    main(*sys.argv[1:])
