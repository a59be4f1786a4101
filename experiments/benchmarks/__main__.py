"""Runs the benchmarks and prints one table of ratios.

python -m experiments.benchmarks                                  everything, three rounds
python -m experiments.benchmarks --only mlp,tiny --rounds 1       two workloads, once
python -m experiments.benchmarks --only overhead                  a call of the step at 10 to 10,000 parameters
python -m experiments.benchmarks --only import                    `import jnn` beside `import jax`
python -m experiments.benchmarks --frameworks jnn,jax --json      two frameworks, every record as JSON
python -m experiments.benchmarks --python torch=/path/to/python   torch lives in another environment
python -m experiments.benchmarks --record                         adds this processor's column to `results.json`
python -m experiments.benchmarks --device gpu                     on a GPU, `torch.compile` too

Every measurement is a fresh process. Within a round the frameworks take turns (A B C A B C ...), so that
what else the machine does falls on all of them. What is not installed is said and left out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.benchmarks.frameworks import FRAMEWORKS
from experiments.benchmarks.import_time import import_ratio
from experiments.benchmarks.machine import TF32, machine, versions
from experiments.benchmarks.problems import LEAVES, NAMES
from experiments.benchmarks.results import RESULTS, record
from experiments.benchmarks.table import Record, check_parameters, summarize, table
from jnn.strict_json import dumps, loads

ROOT = Path(__file__).resolve().parents[2]
PLATFORMS = {"cpu": "cpu", "gpu": "cuda,cpu"}  # of JAX; torch reads them, too
CHOICES = [*(name for name in NAMES if name not in LEAVES), "overhead", "import"]


def names_of(choices: Sequence[str]):
    """An argparse type: names from `choices`, separated by commas."""

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        if unknown := [name for name in names if name not in choices]:
            raise argparse.ArgumentTypeError(f"unknown {unknown}; there are {', '.join(choices)}")
        return names

    return parse


def times(text: str) -> int:
    """An argparse type: how often, once at least."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text}")
    return int(text)


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
    listed = {"action": "extend", "metavar": "NAME"}
    parser.add_argument("--only", type=names_of(CHOICES), help=", ".join(CHOICES), **listed)
    parser.add_argument("--frameworks", type=names_of([*FRAMEWORKS]), help=", ".join(FRAMEWORKS), **listed)
    parser.add_argument("--rounds", type=times, default=3, help="how often everything is measured (3)")
    parser.add_argument("--seconds", type=float, default=0.5, help="the least duration of a repeat (0.5)")
    parser.add_argument("--repeats", type=times, default=5, help="repeats in each process (5)")
    parser.add_argument("--device", choices=PLATFORMS, default="cpu", help="what everything runs on (cpu)")
    parser.add_argument("--json", action="store_true", help="print records and ratios as JSON, not a table")
    parser.add_argument("--record", action="store_true", help=f"write the ratios to {RESULTS.name}, by processor")
    parser.add_argument("--python", type=interpreter, action="append", default=[], metavar="FRAMEWORK=INTERPRETER")
    args = parser.parse_args(argv)
    if args.record and args.device != "cpu":
        parser.error("--record keeps the results of processors; a GPU's are printed alone")
    chosen = args.only or CHOICES
    args.only = [name for one in chosen for name in (LEAVES if one == "overhead" else [one])]
    pythons = dict(args.python)
    family = {name: entry.module.split(".")[0] for name, entry in FRAMEWORKS.items()}
    args.python = {name: pythons.get(name, pythons.get(family[name], sys.executable)) for name in FRAMEWORKS}
    slow = {"torch.compile"} if args.device == "cpu" else set()  # to its first step; no faster behind it
    args.frameworks = args.frameworks or [name for name in FRAMEWORKS if name not in slow]
    return args


def installed(framework: str, python: str) -> bool:
    """Whether the framework can be imported by that interpreter."""
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({FRAMEWORKS[framework].needs!r}) is None)"
    return subprocess.run([python, "-c", probe], check=False).returncode == 0


def run(framework: str, workload: str, args: argparse.Namespace) -> Record:
    """One measurement in a fresh process; its whole error output if it fails."""
    command = [args.python[framework], "-m", "experiments.benchmarks.worker", framework, workload]
    options = {"device": args.device, "seconds": args.seconds, "repeats": args.repeats, "started": time.time()}
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    own = {"JAX_PLATFORMS": PLATFORMS[args.device], "KERAS_BACKEND": "jax"}
    process = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=os.environ | own)
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
                if framework in missing or workload not in FRAMEWORKS[framework].workloads:
                    continue
                found = run(framework, workload, args) | {"round": number}
                said = found["error"] if "error" in found else f"{found['step_ms']:.3f} ms"
                print(f"{workload} round {number} {framework}: {said}", file=sys.stderr)
                yield found


def imports(args: argparse.Namespace) -> dict[str, float] | None:
    """`import jnn` beside `import jax`, if asked for and possible."""
    if "import" in args.only and installed("jnn", args.python["jnn"]):
        return import_ratio(args.rounds, args.python["jnn"], ROOT)
    return None


def main() -> int:
    """Measures and prints. The exit status is 1 if a measurement failed."""
    args, here = arguments(), machine()
    everything = list(records(args))
    good = [found for found in everything if "error" not in found]
    check_parameters(good)
    rows, own, found = summarize(good), versions(good), imports(args)
    if args.record:
        record(RESULTS, here, rows, own, found)
    if args.json:
        said = {"machine": here._asdict(), "device": args.device, "versions": own}
        print(dumps({**said, "records": everything, "rows": rows, "import": found}))
        return int(len(good) < len(everything))
    print(f"{here}; {', '.join(' '.join(pair) for pair in own.items())}")
    if args.device == "gpu":
        print(TF32)
    if good:
        print(table(good))
    if found:
        line = "import jnn / import jax: {ratio:.2f} ({least:.2f}-{most:.2f}), {jnn_s:.2f} s / {jax_s:.2f} s"
        print(line.format(**found))
    return int(len(good) < len(everything))


if __name__ == "__main__":
    sys.exit(main())
