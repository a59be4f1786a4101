"""Standard streams that nothing ends by: a pipe that nobody reads, a full disk, a terminal that knows ASCII alone.

    say(line) -> whether it was written        to standard error, or to another Terminal
    in_one_line(error) -> line                 what an error says, where one line is all there is
    Terminal(sys.stderr)                       a file, such as `rich.console.Console` writes to
    open_missing()                             what a process was started without (`2>&-`) becomes the null device

What is shown of a run is never in the way of the run.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, TextIO


class Terminal:
    """A stream whose `write` and `flush` never raise; what its encoding lacks is written with backslashes.

    Args:
      stream: None for one that is not there.

    Attributes:
      gone: whether something could not be written; from then on nothing is.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream, self.gone = stream, stream is None

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked of the stream: its encoding, its number, whether it is a terminal."""
        return getattr(self._stream or sys.__stderr__, name)

    def isatty(self) -> bool:
        """Whether somebody looks on."""
        return not self.gone and self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        """Writes what can be."""
        with self._trying() as stream:
            if stream is not None:
                try:
                    stream.write(text)
                except UnicodeEncodeError as error:
                    stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        return len(text)

    def flush(self) -> None:
        """Hands on what was written."""
        with self._trying() as stream:
            if stream is not None:
                stream.flush()

    @contextlib.contextmanager
    def _trying(self) -> Any:
        try:
            yield None if self.gone else self._stream
        except (OSError, ValueError):  # a closed file is a ValueError
            self.gone = True
            leave(self._stream)


def leave(stream: TextIO | None) -> None:
    """Turns a stream away from where it cannot be written, or Python would try again at its end, and complain."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # type: ignore[union-attr]
        os.close(null)


def say(line: str, terminal: Terminal | None = None) -> bool:
    """Writes a line, to standard error where nothing else is named; whether that was possible."""
    terminal = terminal or Terminal(sys.stderr)
    terminal.write(f"{line}\n")
    terminal.flush()
    return not terminal.gone


def in_one_line(error: Exception) -> str:
    """What an error says, in one line; of a long one the beginning and the end, where some have the cause.

    >>> in_one_line(ValueError("no room\\nat all"))
    'no room at all'
    """
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= 240 else f"{line[:80]} ... {line[-150:]}"


def open_missing() -> None:
    """Gives the process those of its standard streams that are closed, before a file of its own takes their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which this is
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))
