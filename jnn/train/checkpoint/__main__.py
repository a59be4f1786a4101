"""python -m jnn.train.checkpoint A B: where two checkpoints differ. Exits with 0 if nowhere, and with 1 if they do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jnn.train.checkpoint._digest import diff, table
from jnn.train.checkpoint._manifest import CorruptCheckpoint
from jnn.train.checkpoint._read import read


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns the process's exit code: 2 where one of them cannot be read."""
    parser = argparse.ArgumentParser("python -m jnn.train.checkpoint", description="Where two checkpoints differ.")
    for name in ("a", "b"):
        parser.add_argument(name, help="the folder of a step, or of a run, whose newest step is read")
    folders = parser.parse_args(arguments)
    try:
        differences = diff(read(folders.a).state, read(folders.b).state)
    except (OSError, ValueError, CorruptCheckpoint) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(differences) if differences else "bit-equal")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
