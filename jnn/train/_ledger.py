"""Exactly-once hooks: what happens beside the training, such as an evaluation or an export.

    ledger = Ledger(folder)
    ledger.once("export", 2000, write_model) -> result

Laws: a hook that finished at a step never runs at that step again, in no later process, and gives the result that it
gave; one that was interrupted runs again. So a run that was killed anywhere has the same effects as one that was not.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from jnn.files import naming, whole_lines
from jnn.processes import from_first
from jnn.strict_json import dumps, loads


class Ledger:
    """Ledger of finished hooks, each done exactly once: a file of JSON lines, on the disk before `once` returns.

    The processes of a job all run a hook, which may compute together; process 0 writes the file.

    Args:
      folder: of the run; created if missing.

    Raises:
      ValueError: a line that is not the ledger's, by number. A last line that was cut short by the end of a process is
        of a hook that did not finish, and is dropped.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> Ledger(folder).once("export", 10, lambda: print("exporting") or "model-10")
    exporting
    'model-10'
    >>> Ledger(folder).once("export", 10, lambda: print("exporting") or "model-10")
    'model-10'
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder).absolute() / "hooks.jsonl"  # wherever the program goes
        self.path.parent.mkdir(parents=True, exist_ok=True)
        entries = from_first(self._read() if jax.process_index() == 0 else None)
        self._done = {(entry["hook"], entry["step"]): entry["result"] for entry in entries}

    def once(self, name: str, step: int, hook: Callable[[], Any]) -> Any:
        """The result of `hook()`, which is called unless it finished at this step before.

        A process that dies between the last thing that a hook does and the line in the ledger runs it again: let its
        last act be atomic, such as renaming a file.

        Args:
          name: of the hook.
          step: of the run.
          hook: gives a JSON value, or None.

        Raises:
          TypeError: the result is no JSON value.
        """
        if (name, step) not in self._done:
            result = hook()
            try:
                line = dumps({"hook": name, "step": step, "result": result})
            except TypeError as error:
                raise TypeError(
                    f"Ledger: hook {name!r} must return a JSON value or None: {error}. Convert what it returns: "
                    "float(x) of a number of NumPy or JAX, x.tolist() of an array, str(x) of a path."
                ) from error
            self._write(line)
            self._done[name, step] = loads(line)["result"]
        return self._done[name, step]

    def entries(self) -> list[dict[str, Any]]:
        """All finished hooks, as JSON: {"hook", "step", "result"}."""
        return [{"hook": hook, "step": step, "result": result} for (hook, step), result in self._done.items()]

    def merge(self, entries: list[dict[str, Any]]) -> None:
        """Adds what is not known here: a checkpoint brings its entries, should the file be lost."""
        for entry in entries:
            if (entry["hook"], entry["step"]) not in self._done:
                self._write(dumps(entry))
                self._done[entry["hook"], entry["step"]] = entry["result"]

    def _write(self, line: str) -> None:
        if jax.process_index() == 0:
            with naming(self.path), self.path.open("a") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        lines = whole_lines(self.path)
        os.truncate(self.path, sum(len(line) + 1 for line in lines))
        entries = []
        for number, line in enumerate(lines, 1):
            try:
                entries.append({name: loads(line)[name] for name in ("hook", "step", "result")})
            except (ValueError, KeyError, TypeError) as error:
                found = line[:60].decode(errors="replace")
                raise ValueError(
                    f"{self.path}: line {number} is not of a hooks' ledger: {found!r}. Restore the file, or move "
                    "it away to let every hook run again."
                ) from error
        return entries
