"""Failure capsules from the command line: makes the step that failed again and names what made its first bad number.

    python -m jnn.replay runs/gpt/capsules/step-42
    python -m jnn.replay runs/gpt/capsules/step-42 --entry -m experiments.gpt --steps 100
    python -m jnn.replay runs/gpt/capsules/step-42 --entry train.py --steps 100

It starts the program that wrote the capsule once more, on this machine: so replay only capsules that you trust. Where
that program would train, it makes the one step instead, primitive by primitive, prints what it found, and ends: with
code 0 when there is a culprit, 1 when the step is finite, 2 when the step could not be made.

From a program: `replay(read_capsule(path), step, like)`.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from jnn.train import read_capsule
from jnn.train.capsule import Entry, Replay, finish, replay, replaying, rerun

__all__ = ["Replay", "finish", "main", "parse_entry", "read_capsule", "replay", "replaying"]


def main(argv: Sequence[str] | None = None) -> int:
    """Replays the capsule that the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser("python -m jnn.replay", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("capsule", help="the folder that write_capsule made")
    parser.add_argument(
        "--entry",
        nargs=argparse.REMAINDER,
        help="how to start the program: script.py ..., or -m module ...; by default as the capsule's run was started",
    )
    options = parser.parse_args(argv)
    try:
        capsule = read_capsule(options.capsule)
        entry = capsule.entry if options.entry is None else parse_entry(options.entry)
        print(f"replaying {capsule.path}: {entry}", file=sys.stderr)
        result = rerun(capsule, entry)
    except Exception:  # of the program that was started, as much as of this one: 1 would say that the step is finite
        traceback.print_exc()
        return 2
    print(result)
    return result.exit_code


def parse_entry(words: Sequence[str]) -> Entry:
    """How to start a program, from what would stand behind `python`.

    Raises:
      ValueError: no program is named.

    >>> parse_entry(["-m", "experiments.gpt", "--steps", "3"]).module
    'experiments.gpt'
    """
    match list(words):
        case ["-m", module, *argv]:
            return Entry(tuple(argv), module=module)
        case [script, *argv] if not script.startswith("-"):
            return Entry(tuple(argv), script=os.path.abspath(script))
    raise ValueError(f"--entry: expected script.py ... or -m module ..., found {' '.join(words) or 'nothing'}.")


if __name__ == "__main__":
    sys.exit(main())
