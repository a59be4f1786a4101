"""What a measurement was made on: the processor's model, and how many of its cores there are."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

INFO = Path("/proc/cpuinfo")
TF32 = (
    "TF32 as each framework's default: JAX's products and convolutions may use it, and torch's convolutions; torch's "
    "products are in float32."
)


class Machine(NamedTuple):
    """A processor's model, and how many of its cores this process may use."""

    processor: str
    cores: int

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} core{'s' * (self.cores > 1)}"


def machine() -> Machine:
    """This machine."""
    return Machine(processor(), cores())


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's model, by Linux or macOS; family and model tell those apart that share a name."""
    if INFO.exists():
        return of_cpuinfo(INFO.read_text()) or platform.machine()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


def of_cpuinfo(text: str) -> str:
    """The first processor of /proc/cpuinfo; "" where it has no name there.

    >>> of_cpuinfo("model name\\t: AMD EPYC\\ncpu family\\t: 26\\nmodel\\t\\t: 2\\n")
    'AMD EPYC (family 26, model 2)'
    """
    pairs = (line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    found = {name.strip(): value.strip() for name, value in pairs}
    numbers = [
        f"{short} {found[name]}" for name, short in (("cpu family", "family"), ("model", "model")) if name in found
    ]
    return found.get("model name", "") + (f" ({', '.join(numbers)})" if numbers else "")


def versions(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Of every framework that was measured."""
    return dict(sorted(pair for record in records for pair in record["versions"].items()))
