"""python -m jnn.eject jnn.models.transformer: one file of plain JAX, to standard output or to --output."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jnn.eject._eject import PLATFORMS, eject


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the file; returns the process's exit code: 2 where a function cannot be written out, or its file."""
    parser = argparse.ArgumentParser("python -m jnn.eject", description="Functions as one file that needs no jnn.")
    parser.add_argument("functions", nargs="+", help="such as jnn.models.transformer, or my.module:function")
    parser.add_argument("--backend", choices=PLATFORMS, help="whose formulations are written (this machine's)")
    parser.add_argument("--output", type=Path, help="the file to write (standard output)")
    given = parser.parse_args(arguments)
    try:
        text = eject(*given.functions, platform=given.backend)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if given.output is None:
        print(text, end="")
        return 0
    try:
        given.output.write_text(text)
    except OSError as error:
        print(f"error: eject: {given.output} cannot be written: {error.strerror}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
