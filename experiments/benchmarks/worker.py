"""One measurement in one fresh process: runs one workload in one framework, prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import sys

from experiments.benchmarks.frameworks import FRAMEWORKS, build
from experiments.benchmarks.measure import measure


def main() -> None:
    """Measures what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=FRAMEWORKS)
    parser.add_argument("workload")
    parser.add_argument("--started", type=float, required=True, help="time.time() just before this process")
    parser.add_argument("--seconds", type=float, required=True, help="the least duration of a repeat")
    parser.add_argument("--repeats", type=int, required=True)
    args = parser.parse_args()
    numbers = measure(
        lambda: build(args.framework, args.workload), started=args.started, seconds=args.seconds, repeats=args.repeats
    )
    package = FRAMEWORKS[args.framework].needs
    own = {"framework": args.framework, "workload": args.workload, "versions": {}}
    for name in {package, "jax"} & {*sys.modules}:
        own["versions"][name] = sys.modules[name].__version__
    print(json.dumps({**own, **numbers}, allow_nan=False))


if __name__ == "__main__":
    main()
