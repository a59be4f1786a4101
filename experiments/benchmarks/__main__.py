"""Runs the benchmarks and prints one table of ratios.

python -m experiments.benchmarks                                  everything, three rounds
python -m experiments.benchmarks --only mlp,tiny --rounds 1       two workloads, once
python -m experiments.benchmarks --only import                    `import jnn` beside `import jax`
python -m experiments.benchmarks --frameworks jnn,jax --json      two frameworks, every record as JSON
python -m experiments.benchmarks --python torch=/path/to/python   torch lives in another environment

Every measurement is a fresh process. Within a round the frameworks take turns (A B C A B C ...), so that
what else the machine does falls on all of them. What is not installed is said and left out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.benchmarks.import_time import import_ratio
from experiments.benchmarks.problems import NAMES
from experiments.benchmarks.table import Record, check_parameters, summarize, table
from experiments.benchmarks.worker import FRAMEWORKS
from jnn.strict_json import dumps, loads

ROOT = Path(__file__).resolve().parents[2]
SOME_WORKLOADS = {"jnn x16": ("mlp", "tiny")}  # several steps a call, where dispatch matters


def names_of(choices: Sequence[str]):
    """An argparse type: names from `choices`, separated by commas."""

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        if unknown := [name for name in names if name not in choices]:
            raise argparse.ArgumentTypeError(f"unknown {unknown}; there are {', '.join(choices)}")
        return names

    return parse


def interpreter(text: str) -> tuple[str, str]:
    """An argparse type: FRAMEWORK=INTERPRETER."""
    framework, _, path = text.partition("=")
    if framework not in FRAMEWORKS or not path:
        raise argparse.ArgumentTypeError(f"expected FRAMEWORK=INTERPRETER, a framework of {', '.join(FRAMEWORKS)}")
    return framework, path


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    workloads = [*NAMES, "import"]
    listed = {"action": "extend", "metavar": "NAME"}
    parser.add_argument("--only", type=names_of(workloads), help=", ".join(workloads), **listed)
    parser.add_argument("--frameworks", type=names_of([*FRAMEWORKS]), help=", ".join(FRAMEWORKS), **listed)
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (3)")
    parser.add_argument("--seconds", type=float, default=0.5, help="the least duration of a repeat (0.5)")
    parser.add_argument("--repeats", type=int, default=5, help="repeats in each process (5)")
    parser.add_argument("--json", action="store_true", help="print records and ratios as JSON, not a table")
    parser.add_argument("--python", type=interpreter, action="append", default=[], metavar="FRAMEWORK=INTERPRETER")
    args = parser.parse_args(argv)
    args.only = args.only or workloads
    pythons = dict(args.python)
    args.python = {name: pythons.get(name, pythons.get(name.split()[0], sys.executable)) for name in FRAMEWORKS}
    args.frameworks = args.frameworks or list(FRAMEWORKS)
    return args


def installed(framework: str, python: str) -> bool:
    """Whether the framework can be imported by that interpreter."""
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({FRAMEWORKS[framework][2]!r}) is None)"
    return subprocess.run([python, "-c", probe], check=False).returncode == 0


def run(framework: str, workload: str, args: argparse.Namespace) -> Record:
    """One measurement in a fresh process; its whole error output if it fails."""
    command = [args.python[framework], "-m", "experiments.benchmarks.worker", framework, workload]
    options = {"seconds": args.seconds, "repeats": args.repeats, "started": time.time()}
    command += [text for name, value in options.items() for text in (f"--{name}", repr(value))]
    process = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if process.returncode:
        return {"framework": framework, "workload": workload, "error": process.stderr or f"exit {process.returncode}"}
    return loads(process.stdout.splitlines()[-1])


def records(args: argparse.Namespace) -> Iterator[Record]:
    """Every measurement, workload by workload, the frameworks taking turns; progress on standard error."""
    missing = [name for name in args.frameworks if not installed(name, args.python[name])]
    for name in missing:
        print(f"{name}: not installed in {args.python[name]}", file=sys.stderr)
    for workload in (name for name in args.only if name in NAMES):
        for number in range(args.rounds):
            for framework in args.frameworks:
                if framework in missing or workload not in SOME_WORKLOADS.get(framework, NAMES):
                    continue
                record = run(framework, workload, args) | {"round": number}
                said = record["error"] if "error" in record else f"{record['step_ms']:.3f} ms"
                print(f"{workload} round {number} {framework}: {said}", file=sys.stderr)
                yield record


def imports(args: argparse.Namespace) -> dict[str, float] | None:
    """`import jnn` beside `import jax`, if asked for and possible."""
    if "import" in args.only and installed("jnn", args.python["jnn"]):
        return import_ratio(args.rounds, args.python["jnn"], ROOT)
    return None


def main() -> int:
    """Measures and prints. The exit status is 1 if a measurement failed."""
    args = arguments()
    everything = list(records(args))
    good = [record for record in everything if "error" not in record]
    check_parameters(good)
    found = imports(args)
    if args.json:
        print(dumps({"records": everything, "rows": summarize(good), "import": found}))
    else:
        if good:
            print(table(good))
        if found:
            print(
                "import jnn / import jax: {ratio:.2f} ({least:.2f}-{most:.2f}), {jnn_s:.2f} s / {jax_s:.2f} s".format(
                    **found
                )
            )
    return int(len(good) < len(everything))


if __name__ == "__main__":
    sys.exit(main())
