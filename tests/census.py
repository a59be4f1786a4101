"""Public blocks of other libraries, as installed: `python -m tests.census keras.layers` prints their names as JSON.

A process of its own imports one library: what it warns of, and what it asks of JAX, is no matter of the tests.
"""

import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable
from types import ModuleType


def classes(module: ModuleType, base: type = object) -> list[str]:
    """The public classes of a module that are of this base."""
    return [name for name, x in public(module) if inspect.isclass(x) and issubclass(x, base)]


def functions(module: ModuleType) -> list[str]:
    """What can be called of a module, and is no class."""
    return [name for name, x in public(module) if callable(x) and not inspect.isclass(x)]


def public(module: ModuleType) -> list[tuple[str, object]]:
    """What a module has by a name without an underscore in front."""
    return sorted((name, x) for name, x in vars(module).items() if not name.startswith("_"))


DOWNLOADED = {"bert_score", "infolm"}  # TorchMetrics has them only beside transformers, whose models they fetch
PEERS: dict[str, Callable[..., list[str]]] = {
    "torch.nn": lambda module: classes(module, module.Module),
    "torch.nn.init": lambda module: [name for name in functions(module) if name.endswith("_")],
    "flax.linen": lambda module: classes(module, module.Module),
    "flax.nnx": lambda module: classes(module, module.Module),
    "equinox.nn": lambda module: classes(module, importlib.import_module("equinox").Module),
    "haiku": lambda module: classes(module, module.Module),
    "haiku.initializers": classes,
    "keras.layers": lambda module: classes(module, module.Layer),
    "keras.losses": lambda module: classes(module, module.Loss),
    "keras.metrics": lambda module: classes(module, module.Metric),
    "keras.activations": functions,
    "keras.initializers": lambda module: classes(module, module.Initializer),
    "keras.applications": lambda module: [name for name, x in public(module) if callable(x) and name[0].isupper()],
    "optax.losses": functions,
    "torchmetrics.functional": lambda module: [name for name in functions(module) if name not in DOWNLOADED],
    "jraph": functions,
}
MADE_OF = {  # distribution and version that docs/census.json was made of
    "torch": ("torch", "2.13.0"),
    "flax": ("flax", "0.12.8"),
    "equinox": ("equinox", "0.13.8"),
    "haiku": ("dm-haiku", "0.0.17"),
    "keras": ("keras", "3.15.1"),
    "optax": ("optax", "0.2.8"),
    "torchmetrics": ("torchmetrics", "1.9.0"),
    "jraph": ("jraph", "0.0.6.dev0"),
}

if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "jax"
    peer = sys.argv[1]
    print(json.dumps(PEERS[peer](importlib.import_module(peer))))
