"""What the user can mend is said in one error; a fault of the program keeps its traceback.

refuse(message, code)              ends the process
code_of(error) -> 1, 2 or None     which of the two an error is
words(error, folder)               what is then said of it
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import NoReturn

from jnn.launch import USAGE
from jnn.terminal import say

# a folder of another run, of none, or one that may not be written; data that is not there; processes that do not come
MISSING = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError, BlockingIOError)
MISSING += (TimeoutError,)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OURS = ("experiments.training", "experiments.flight")  # what reads the options that every experiment has


def refuse(message: str, code: int) -> NoReturn:
    """Ends the process with an error that says all there is to say."""
    say(f"error: {message}")
    sys.exit(code)


def words(error: Exception, folder: str) -> str:
    """What is said of an error that whoever typed the command can mend; the folder is where the run writes."""
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{folder}: {os.strerror(error.errno)}. Make room, and start the same command again to go on."
    if isinstance(error, OSError) and error.errno and str(error.filename) == folder:
        return f"{folder}: {os.strerror(error.errno)}. The run writes to this folder: choose another by --workdir."
    return str(error)


def code_of(error: Exception) -> int | None:
    """The exit code of an error that whoever typed the command can mend; None for a fault of the program.

    Files, folders, disks and processes are told by their kinds, and by the file that is named. Of other errors it is
    those that jnn itself raises, since these say what is to be done; and where they are none of a file's, before the
    first step of a training: options led there.
    """
    files = isinstance(error, OSError) and (error.filename is not None or error.errno in FULL)
    if files or isinstance(error, MISSING):
        return 1
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = modules[-1].startswith("jnn.") or modules[-1] in OURS
    if ours and isinstance(error, OSError):
        return 1
    if not ours or "jnn.train._loop" in modules[:-1]:
        return None
    return USAGE if isinstance(error, ValueError) else 1
