"""jnn: functional deep learning for JAX.

A layer is two functions side by side: one declares its parameters, the other computes with them.
Parameters are plain nested dicts of arrays; everything else is a map over the declaration.

This page is the front door: `jnn.Param`, `jnn.init` and the other maps over specs live here,
blocks under `jnn.layers`, `jnn.graphs`, `jnn.audio`, `jnn.losses`, `jnn.activations`, `jnn.metrics`, `jnn.models`, text
from models under `jnn.generation` (`jnn.generate` for short) and for many at a time under `jnn.serving`, data from
noise under `jnn.diffusion`, what frames spell under `jnn.decoding`, tasks of reinforcement learning under
`jnn.environments`, the stateless train step under `jnn.train`, hundreds of runs as one program under `jnn.sweep`, rates
and scales that hold at every width under `jnn.maximal_update` (`jnn.mup` for short), what is done to a trained model
under `jnn.finetune`, in fewer bits under `jnn.quantization`, what makes it smaller under `jnn.compression`, what its
scores rest on under `jnn.explain`, what puts a step on many devices under `jnn.parallel`, its processes under
`jnn.launch`, what it would take on machines that are not there under `jnn.preflight`; others' weights under
`jnn.interop` and `jnn.parity`, what must hold for every block under `jnn.laws`, any of it as a file that needs no jnn
under `jnn.eject`, and as programs of other runtimes under `jnn.export`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jnn import backend, initializers
from jnn.param import (
    Param,
    abstract,
    count_params,
    flatten,
    init,
    load,
    map_paths,
    muon_dimension_numbers,
    path_key,
    shardings,
    spec_of,
    stack,
    summary,
    weight_mask,
)

if TYPE_CHECKING:
    from jnn import (
        activations,
        audio,
        boxes,
        compression,
        data,
        decoding,
        diffusion,
        eject,
        environments,
        explain,
        export,
        finetune,
        generation,
        graphs,
        image_similarity,
        inspect,
        interop,
        launch,
        laws,
        layers,
        losses,
        maximal_update,
        metrics,
        models,
        parallel,
        parity,
        preflight,
        quantization,
        serving,
        sweep,
        train,
    )
    from jnn.generation import generate
    from jnn.maximal_update import mup

__version__ = "0.2.0"

__all__ = [
    "Param",
    "abstract",
    "activations",
    "audio",
    "backend",
    "boxes",
    "compression",
    "count_params",
    "data",
    "decoding",
    "diffusion",
    "eject",
    "environments",
    "explain",
    "export",
    "finetune",
    "flatten",
    "generate",
    "generation",
    "graphs",
    "image_similarity",
    "init",
    "initializers",
    "inspect",
    "interop",
    "launch",
    "laws",
    "layers",
    "load",
    "losses",
    "map_paths",
    "maximal_update",
    "metrics",
    "models",
    "muon_dimension_numbers",
    "mup",
    "parallel",
    "parity",
    "path_key",
    "preflight",
    "quantization",
    "serving",
    "shardings",
    "spec_of",
    "stack",
    "summary",
    "sweep",
    "train",
    "weight_mask",
]

_FUNCTIONS = {"generate": "jnn.generation", "mup": "jnn.maximal_update"}  # those of rooms, on the front page


def __getattr__(name: str) -> Any:
    """Rooms are imported when they are first used."""
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    if name in __all__:
        return importlib.import_module(f"jnn.{name}")
    raise AttributeError(f"module 'jnn' has no attribute {name!r}")
