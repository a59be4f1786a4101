"""What a model's layers become on a mesh, without its knowledge.

    with spread(mesh): ...                          what is traced within; also a decorator, of a loss function say
    with alone(): ...                               nothing: what is traced within runs on one device

| axis      | layer            | becomes                                                      |
|-----------|------------------|--------------------------------------------------------------|
| `context` | `attend`         | `ring_attention`, or `heads_attention` for context="heads"   |
| `expert`  | `experts`        | `exchanged_experts`                                          |
| `stage`   | `layers_in_turn` | `pipelined_layers`                                           |

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
from jnn.instead import instead
from jnn.parallel.layers.exchange import exchanged_experts
from jnn.parallel.layers.pipeline import pipeline
from jnn.parallel.layers.ring import ring_attention
from jnn.parallel.layers.ulysses import heads_attention
from jnn.parallel.over import count

Context = Literal["ring", "heads"]


def spread(
    mesh: Mesh, *, context: Context = "ring", microbatches: int | None = None, repeats: int = 1
) -> contextlib.AbstractContextManager[None]:
    """Puts in force what the axes of a mesh ask for; nothing where they are of size 1.

    Args:
      mesh: on which the model runs.
      context: how time is shared: "ring" for any number of heads, "heads" where the devices divide them.
      microbatches: in how many parts rows go through the stages; None for two for each stage, with which a device is
        idle for less than a third of the time.
      repeats: how often each part goes round the stages.

    Raises:
      ValueError: context is neither.

    >>> from jnn.parallel import mesh
    >>> with spread(mesh("context=-1")):
    ...     pass  # trace, or run, the model
    """
    ways: dict[str, Callable] = {"ring": ring_attention, "heads": heads_attention}
    if context not in ways:
        raise ValueError(f"spread: context is 'ring' or 'heads', found {context!r}.")
    functions: dict[str, tuple[str, Callable]] = {
        "context": ("attend", ways[context]),
        "expert": ("experts", exchanged_experts),
        "stage": ("layers_in_turn", partial(pipelined_layers, microbatches=microbatches, repeats=repeats)),
    }
    used = [functions[axis] for axis in functions if mesh.shape.get(axis, 1) > 1]
    return instead(**{name: partial(f, mesh=mesh) for name, f in used})


def alone() -> contextlib.AbstractContextManager[None]:
    """Puts every layer's own way back in force, within `spread`."""
    return instead(attend=None, experts=None, layers_in_turn=None)


def pipelined_layers(
    layer: Callable[[Any, jax.Array, Any], jax.Array],
    stacked: Any,
    x: jax.Array,
    *names: str,
    beside: Any,
    mesh: Mesh,
    microbatches: int | None = None,
    repeats: int = 1,
) -> jax.Array:
    """`jnn.layers.layers_in_turn` by a pipeline, of two micro-batches for each stage unless another number is given.

    Raises:
      ValueError: x has no axis of rows in front of those that are named, or as in `pipeline`.
    """
    if x.ndim <= len(names):
        raise ValueError(
            f"layers_in_turn: a pipeline needs rows to put through in parts, found {checks.describe(x)} with axes "
            f"{', '.join(names)} alone. Give a batch instead of mapping over examples, or leave stage out of the mesh."
        )
    both = lambda p, row: (layer(p, *row), row[1])
    parts = 2 * count("layers_in_turn", mesh, "stage") if microbatches is None else microbatches
    return pipeline(both, stacked, (x, beside), mesh, microbatches=parts, repeats=repeats)[0]
