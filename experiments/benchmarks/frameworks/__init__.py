"""One folder or file a framework, its workloads written as that framework's own users would write them.

`build(framework, workload)` sets one up. Networks are tables by the names of `problems`: what a framework has not is
not in its table. What does not live here: how anything is measured.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from experiments.benchmarks.measure import Built
from experiments.benchmarks.problems import LEAVES, NAMES

TRAINED = tuple(name for name in NAMES if name not in ("decode", *LEAVES))
SMALL = ("mlp", "cnn", "lstm", "tiny")
BLOCKS = ("gpt", "deep")
NATURAL = ("cnn", "gpt", "tiny", "mobilenet", "resnet", "vit")  # where `jnn.models` spells them otherwise


@dataclasses.dataclass(frozen=True)
class Framework:
    """How a framework is found.

    Attributes:
      title: what a table calls it.
      module: the one beside this whose `build(workload, **how)` sets a workload up.
      needs: the package that must be installed.
      workloads: which it has.
      how: options of `build`.
    """

    title: str
    module: str
    needs: str
    workloads: tuple[str, ...]
    how: Mapping[str, Any] = dataclasses.field(default_factory=dict)


FRAMEWORKS = {
    "jnn": Framework("jnn", "jnn.models", "jax", NAMES),
    "jnn natural": Framework("jnn, as it comes to mind", "jnn.natural", "jax", NATURAL),
    "jnn x16": Framework("jnn, 16 steps a call", "jnn.models", "jax", ("mlp", "tiny"), {"calls": 16}),
    "jax.jit": Framework("jnn's step by jax.jit", "jnn.models", "jax", tuple(LEAVES), {"jitted": True}),
    "jax": Framework("plain JAX", "jax.networks", "jax", NAMES),
    "nnx": Framework("Flax NNX", "nnx", "flax", (*SMALL, *BLOCKS, "mobilenet", "vit")),
    "linen": Framework("Flax Linen", "linen", "flax", (*SMALL, "gpt", "mobilenet", "vit")),
    "haiku": Framework("Haiku", "haiku", "haiku", (*SMALL, "gpt", "mobilenet")),
    "equinox": Framework("Equinox", "equinox", "equinox", (*SMALL, *BLOCKS)),
    "keras": Framework("Keras", "keras", "keras", (*SMALL, "mobilenet")),
    "torch": Framework("PyTorch", "torch.networks", "torch", (*TRAINED, "decode")),
    "torch.compile": Framework("torch.compile", "torch.networks", "torch", TRAINED, {"compiled": True}),
}


def build(framework: str, workload: str) -> Built:
    """Imports the framework and sets the workload up."""
    entry = FRAMEWORKS[framework]
    return importlib.import_module(f"{__name__}.{entry.module}").build(workload, **entry.how)
