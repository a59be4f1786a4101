"""One measurement in one fresh process: runs one workload in one framework, prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import sys

from experiments.benchmarks.frameworks import FRAMEWORKS, build
from experiments.benchmarks.measure import Built, measure


def check_device(package: str, device: str) -> None:
    """Raises RuntimeError where JAX, which takes a CPU without a word, has no such device; torch says so itself."""
    if package != "torch" and (found := sys.modules["jax"].default_backend()) != device:
        raise RuntimeError(f"--device {device}: JAX runs on the {found} here.")


def main() -> None:
    """Measures what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=FRAMEWORKS)
    parser.add_argument("workload")
    parser.add_argument("--device", choices=("cpu", "gpu"), required=True, help="what JAX must have found")
    parser.add_argument("--started", type=float, required=True, help="time.time() just before this process")
    parser.add_argument("--seconds", type=float, required=True, help="the least duration of a repeat")
    parser.add_argument("--repeats", type=int, required=True)
    args = parser.parse_args()
    package = FRAMEWORKS[args.framework].needs

    def build_there() -> Built:
        built = build(args.framework, args.workload)
        check_device(package, args.device)
        return built

    numbers = measure(build_there, started=args.started, seconds=args.seconds, repeats=args.repeats)
    own = {"framework": args.framework, "workload": args.workload, "versions": {}}
    for name in {package, "jax"} & {*sys.modules}:
        own["versions"][name] = sys.modules[name].__version__
    print(json.dumps({**own, **numbers}, allow_nan=False))


if __name__ == "__main__":
    main()
