"""jnn: functional deep learning for JAX.

A layer is two functions side by side: one declares its parameters, the other computes with them.
Parameters are plain nested dicts of arrays; everything else is a map over the declaration.

This page is the front door: `jnn.Param`, `jnn.init` and the other maps over specs live here,
blocks under `jnn.layers`, `jnn.graphs`, `jnn.losses`, `jnn.activations`, `jnn.metrics`, `jnn.models`, the
stateless train step under `jnn.train`, what puts it on many devices under `jnn.parallel`, its processes under
`jnn.launch`, and what it would take on machines that are not there under `jnn.preflight`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jnn import activations, backend, graphs, initializers, layers, losses, metrics, models
from jnn.param import (
    Param,
    abstract,
    count_params,
    flatten,
    init,
    load,
    map_paths,
    path_key,
    shardings,
    spec_of,
    stack,
    summary,
    weight_mask,
)

if TYPE_CHECKING:
    from jnn import data, inspect, launch, parallel, preflight, train

__version__ = "0.1.0"

__all__ = [
    "Param",
    "abstract",
    "activations",
    "backend",
    "count_params",
    "data",
    "flatten",
    "graphs",
    "init",
    "initializers",
    "inspect",
    "launch",
    "layers",
    "load",
    "losses",
    "map_paths",
    "metrics",
    "models",
    "parallel",
    "path_key",
    "preflight",
    "shardings",
    "spec_of",
    "stack",
    "summary",
    "train",
    "weight_mask",
]


def __getattr__(name: str) -> Any:
    """Rooms with heavier dependencies are imported when they are first used."""
    if name in {"data", "inspect", "launch", "parallel", "preflight", "train"}:
        return importlib.import_module(f"jnn.{name}")
    raise AttributeError(f"module 'jnn' has no attribute {name!r}")
