"""Models name axes; a layout, where one is in force, says on which devices they lie.

    constrain(x, "time", "embed") -> x      names the last axes of an activation; the first of those before is "batch"
    gather(p, "blocks") -> p                parameters, whole where they are used and in pieces where they are kept
    laid_out(layout)                        what a parallel step is traced in

Laws: without a layout both are the identity, and cost nothing; with one they change no value, only where it is. They
work under `jit`, `grad`, `vmap`, `scan` and `jax.checkpoint`. A model never mentions a mesh.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

import jax
from jax.lax import with_sharding_constraint
from jax.sharding import Sharding


class Layout(Protocol):
    """Where arrays lie, by the names of their axes: `jnn.parallel.Layout`."""

    def activation(self, shape: tuple[int, ...], names: tuple[str, ...]) -> Sharding:
        """Where an activation lies whose last axes have these names."""
        ...

    def parameter(self, path: str, shape: tuple[int, ...]) -> tuple[Sharding, Sharding]:
        """Where a parameter, or one layer of a stack, is kept; and where it is used."""
        ...


# a part of the key of every `jit`, so that what was traced without a layout is never used with one
_in_force = jax.make_user_context(default_value=None)


@contextlib.contextmanager
def laid_out(layout: Layout | None) -> Iterator[None]:
    """Puts a layout in force for what is traced, or run, within; None puts none in force."""
    with _in_force(layout):
        yield


def constrain(x: jax.Array, *names: str) -> jax.Array:
    """Names the axes of an activation, so that a layout can place it.

    See "GSPMD: General and Scalable Parallelization for ML Computation Graphs", Xu et al., 2021.

    Args:
      x: (batch, ..., *names): the first axis before the named ones is "batch", those between lie as they happen to.
      names: of the last axes.

    Returns:
      x.

    Raises (where a layout is in force):
      ValueError: x has fewer axes than there are names, or an axis that its mesh axes do not divide.

    >>> constrain(jax.numpy.ones((8, 16, 32)), "time", "embed").shape
    (8, 16, 32)
    """
    layout = _in_force.value
    return x if layout is None else with_sharding_constraint(x, layout.activation(x.shape, names))


def gather(p: Any, path: str = "") -> Any:
    """Parameters as they are used: where the batch's devices each keep a piece of them, put together.

    Call it inside of what `scan` or `jax.checkpoint` repeats: one layer is then whole at a time, is put together again
    for the backward pass instead of being remembered, and its gradient goes back in pieces.

    See "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", Rajbhandari et al., 2020.

    Args:
      p: parameters, or one layer of stacked ones.
      path: where p lies in the params, or the end of that path: `gather(p["fc1"], "fc1")`.

    Returns:
      p.

    Raises (where a layout is in force):
      ValueError: the layout's spec has no such parameter.

    >>> gather({"w": jax.numpy.ones((3, 2))}, "fc1")["w"].shape
    (3, 2)
    """
    layout = _in_force.value
    if layout is None:
        return p

    def place(keys: Any, x: jax.Array) -> jax.Array:
        names = jax.tree_util.keystr(keys, simple=True, separator="/")
        kept, used = layout.parameter("/".join(filter(None, (path, names))), x.shape)
        # kept, then used: its transpose sums a gradient where it was made, then cuts it into the pieces that are kept
        return with_sharding_constraint(with_sharding_constraint(x, kept), used)

    return jax.tree.map_with_path(place, p)
