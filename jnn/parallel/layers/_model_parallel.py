"""What a model's layers become on a mesh, without its knowledge.

    with model_parallel(mesh): ...            what is traced within; also a decorator, of a loss function say
    with single_device(): ...                 nothing: what is traced within runs on one device

| axis      | layer            | becomes                                                      |
|-----------|------------------|--------------------------------------------------------------|
| `context` | `dot_product_attention`         | `ring_attention`, or `ulysses_attention` for context="heads"   |
| `expert`  | `mixture_of_experts`        | `expert_parallel`                                          |
| `stage`   | `scan_layers` | `pipeline_layers`                                           |

Law: values and gradients are those of the layers, on any product of the axes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
from jax.sharding import Mesh

from jnn import checks
from jnn.overrides import override
from jnn.parallel._shard_map import axis_size
from jnn.parallel.layers._expert_parallel import expert_parallel
from jnn.parallel.layers._pipeline import pipeline
from jnn.parallel.layers._ring_attention import ring_attention
from jnn.parallel.layers._ulysses_attention import ulysses_attention

Context = Literal["ring", "heads"]


def model_parallel(
    mesh: Mesh, *, context: Context = "ring", microbatches: int | None = None, repeats: int = 1
) -> contextlib.AbstractContextManager[None]:
    """Model parallelism: puts in force what the axes of a mesh ask for; nothing where they are of size 1.

    Args:
      mesh: on which the model runs.
      context: how time is shared: "ring" for any number of heads, "heads" where the devices divide them.
      microbatches: in how many parts rows go through the stages; None for two for each stage, with which a device is
        idle for less than a third of the time.
      repeats: how often each part goes round the stages.

    Raises:
      ValueError: context is neither, or microbatches or repeats are no integers of 1 or more.

    >>> from jnn.parallel import mesh
    >>> with model_parallel(mesh("context=-1")):
    ...     pass  # trace, or run, the model
    """
    ways: dict[str, Callable] = {"ring": ring_attention, "heads": ulysses_attention}
    if context not in ways:
        raise ValueError(f"model_parallel: context is 'ring' or 'heads', found {context!r}.")
    checks.count("model_parallel", "microbatches", 1 if microbatches is None else microbatches)
    checks.count("model_parallel", "repeats", repeats)
    functions: dict[str, tuple[str, Callable]] = {
        "context": ("dot_product_attention", ways[context]),
        "expert": ("experts", expert_parallel),
        "stage": ("scan_layers", partial(pipeline_layers, microbatches=microbatches, repeats=repeats)),
    }
    used = [functions[axis] for axis in functions if mesh.shape.get(axis, 1) > 1]
    return override(**{name: partial(f, mesh=mesh) for name, f in used})


def single_device() -> contextlib.AbstractContextManager[None]:
    """Puts every layer's own way back in force, within `model_parallel`."""
    return override(dot_product_attention=None, experts=None, scan_layers=None)


def pipeline_layers(
    layer: Callable[[Any, jax.Array, Any], jax.Array],
    stacked: Any,
    x: jax.Array,
    *names: str,
    beside: Any,
    mesh: Mesh,
    microbatches: int | None = None,
    repeats: int = 1,
) -> jax.Array:
    """`jnn.layers.scan_layers` by a pipeline, of two micro-batches for each stage unless another number is given.

    Raises:
      ValueError: x has no axis of rows in front of those that are named, or as in `pipeline`.
    """
    if x.ndim <= len(names):
        raise ValueError(
            f"scan_layers: a pipeline needs rows to put through in parts, found {checks.describe(x)} with axes "
            f"{', '.join(names)} alone. Give a batch instead of mapping over examples, or leave stage out of the mesh."
        )
    both = lambda p, row: (layer(p, *row), row[1])
    parts = 2 * axis_size("scan_layers", mesh, "stage") if microbatches is None else microbatches
    return pipeline(both, stacked, (x, beside), mesh, microbatches=parts, repeats=repeats)[0]
