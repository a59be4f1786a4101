"""What the user can mend is said in one error; a fault of the program keeps its traceback.

refuse(message, code)              ends the process
code_of(error) -> 1, 2 or None     which of the two an error is
"""

from __future__ import annotations

import sys
import traceback
from typing import NoReturn

from jnn.parallel.processes.supervise import USAGE

# a folder of another run, of none, or one that may not be written; data that is not there; processes that do not come
MISSING = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError, BlockingIOError)
MISSING += (TimeoutError,)
OURS = ("experiments.training", "experiments.flight")  # what reads the options that every experiment has


def refuse(message: str, code: int) -> NoReturn:
    """Ends the process with an error that says all there is to say."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def code_of(error: Exception) -> int | None:
    """The exit code of an error that whoever typed the command can mend; None for a fault of the program.

    Files, folders and processes that are not there are told by their kinds. Of other errors it is those that jnn itself
    raises, since these say what is to be done, and before the first step of a training: options led there.
    """
    if isinstance(error, MISSING):
        return 1
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = modules[-1].startswith("jnn.") or modules[-1] in OURS
    if not ours or "jnn.train.loop" in modules[:-1]:
        return None
    return USAGE if isinstance(error, ValueError) else 1
