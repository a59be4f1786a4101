"""One measurement in one fresh process: trains one workload in one framework, prints one line of JSON."""

from __future__ import annotations

import argparse
import importlib
import json

from experiments.benchmarks.measure import measure

# framework: (the file beside this one, its table of workloads, the module that must be installed)
FRAMEWORKS = {
    "jnn": ("jnn_workloads", "WORKLOADS", "jax"),
    "jnn x16": ("jnn_workloads", "WORKLOADS_X16", "jax"),
    "jax": ("jax_workloads", "WORKLOADS", "jax"),
    "nnx": ("nnx_workloads", "WORKLOADS", "flax"),
    "equinox": ("equinox_workloads", "WORKLOADS", "equinox"),
    "torch": ("torch_workloads", "WORKLOADS", "torch"),
}


def build(framework: str, workload: str):
    """Imports the framework and sets the workload up."""
    module, table, _ = FRAMEWORKS[framework]
    return getattr(importlib.import_module(f"experiments.benchmarks.{module}"), table)[workload]()


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
    print(json.dumps({"framework": args.framework, "workload": args.workload, **numbers}, allow_nan=False))


if __name__ == "__main__":
    main()
