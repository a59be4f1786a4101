"""What a model's layers become on a mesh, without its knowledge.

    with spread(mesh): ...                          what is traced within; also a decorator, of a loss function say

| axis      | layer     | becomes                                                      |
|-----------|-----------|--------------------------------------------------------------|
| `context` | `attend`  | `ring_attention`, or `heads_attention` for context="heads"   |
| `expert`  | `experts` | `exchanged_experts`                                          |

Law: values and gradients are those of the layers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Literal

from jax.sharding import Mesh

from jnn.instead import instead
from jnn.parallel.exchange import exchanged_experts
from jnn.parallel.ring import ring_attention
from jnn.parallel.ulysses import heads_attention

Context = Literal["ring", "heads"]


def spread(mesh: Mesh, *, context: Context = "ring") -> contextlib.AbstractContextManager[None]:
    """Puts in force what the axes of a mesh ask for; nothing where they are of size 1.

    Args:
      mesh: on which the model runs.
      context: how time is shared: "ring" for any number of heads, "heads" where the devices divide them.

    Raises:
      ValueError: context is neither.

    >>> from jnn.parallel import mesh
    >>> with spread(mesh("context=-1")):
    ...     pass  # trace, or run, the model
    """
    ways: dict[str, Callable] = {"ring": ring_attention, "heads": heads_attention}
    if context not in ways:
        raise ValueError(f"spread: context is 'ring' or 'heads', found {context!r}.")
    functions = {"context": ("attend", ways[context]), "expert": ("experts", exchanged_experts)}
    used = [functions[axis] for axis in functions if mesh.shape.get(axis, 1) > 1]
    return instead(**{name: partial(f, mesh=mesh) for name, f in used})
