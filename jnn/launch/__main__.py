"""Starts a job of several processes on this machine, and watches it.

python -m jnn.launch -n 4 -- python -m experiments.gpt --workdir runs/gpt

Each process joins the others by `jnn.launch.initialize`, which the experiments call. One that died, stopped or fell
silent ends the job within seconds, and the job begins again from its last whole checkpoint, a limited number of times.
SIGTERM lets all finish their step, save, and end with code 143. A process that ends with code 2 was called wrongly, and
its job does not begin again. Where the launcher's output is read no more, all end as by SIGTERM, with code 141.

On a cluster there is nothing to launch: its scheduler starts the processes, and JAX finds out how many there are.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence

from jnn.launch._supervise import USAGE, LaunchConfig, supervise, to_stderr
from jnn.terminal import open_missing


def arguments(argv: Sequence[str] | None = None) -> tuple[LaunchConfig, list[str]]:
    """The job, and the command of each of its processes."""
    parser = argparse.ArgumentParser(
        prog="python -m jnn.launch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    defaults = LaunchConfig(1)
    parser.add_argument("-n", "--processes", type=int, required=True, help="how many processes")
    parser.add_argument("--devices", type=int, help="CPU devices of each process (what JAX finds)")
    parser.add_argument("--restarts", type=int, default=defaults.restarts, help="begin again how often (%(default)s)")
    parser.add_argument("--backoff", type=float, default=defaults.backoff, help="seconds before that (%(default)s)")
    parser.add_argument("--silence", type=float, default=defaults.silence, help="seconds until hung (%(default)s)")
    parser.add_argument("--stall", type=float, default=defaults.stall, help="seconds without a step until hung (never)")
    parser.add_argument("--grace", type=float, default=defaults.grace, help="seconds to end in (%(default)s)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...", help="what each process runs")
    args = parser.parse_args(argv)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        parser.error("expected a command behind --, such as: -- python -m experiments.digits")
    try:
        return LaunchConfig(
            **{field.name: getattr(args, field.name) for field in dataclasses.fields(LaunchConfig)}
        ), command
    except ValueError as error:
        parser.error(str(error))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job; its exit code, 2 where the command cannot be started."""
    open_missing()
    job, command = arguments(argv)
    try:
        return supervise(command, job)
    except ValueError as error:
        to_stderr(f"error: {error}")
        return USAGE


if __name__ == "__main__":
    sys.exit(main())
