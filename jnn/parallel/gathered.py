"""Parameters that a model does not gather itself are whole where it begins.

    gathered(loss) -> loss          the same function, of params that no product meets in pieces

A parameter that lies along the axes that share the batch ("fsdp") is kept there, not used there. A model says where it
is put together, by `jnn.axes.gather`; what it leaves out would go into its products in pieces, and XLA's partitioner
gets such a product wrong. On a mesh of data=2, fsdp=2, tensor=2, with JAX 0.10.2, Shardy or not, the one line

    x (rows data+fsdp, columns tensor) @ w (rows tensor, columns fsdp) -> y (rows data+fsdp, columns tensor)

exchanges the rows of data=0, fsdp=1 and data=1, fsdp=0: it permutes x so that its rows meet w's columns on "fsdp", and
does not permute y back. No weight that is whole along "fsdp" gives it the occasion.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax

from jnn.axes import gather, in_force, laid_out
from jnn.parallel.layout import Layout
from jnn.param import map_paths

Result = TypeVar("Result")


def gathered(loss: Callable[..., Result]) -> Callable[..., Result]:
    """A loss whose params are whole along the batch's axes: where it gathers them, or else where it begins.

    See "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", Rajbhandari et al., 2020.

    Args:
      loss: `(params, ...) -> anything`. Under a layout that keeps parameters in pieces it is traced twice, once to see
        what it gathers.

    Returns:
      A function of the same arguments; without a layout it is `loss`.

    >>> import jnn
    >>> place = jnn.parallel.layout(jnn.layers.linear_spec(4, 8), "fsdp=1,data=-1")
    >>> p = jnn.init(place.spec, jax.random.key(0))
    >>> with laid_out(place):
    ...     gathered(jnn.layers.linear)(p, jax.numpy.ones(4)).shape
    (8,)
    """

    @functools.wraps(loss)
    def whole(params: Any, *args: Any, **options: Any) -> Result:
        layout = cast(Layout | None, in_force())
        if layout is None or not (rest := layout.kept_in_pieces(params)):
            return loss(params, *args, **options)
        trial = dataclasses.replace(layout, _gathered=set())
        with laid_out(trial):
            jax.eval_shape(lambda params: (loss(params, *args, **options), None)[1], params)
        rest -= trial._gathered
        params = map_paths(lambda path, x: gather(x, path) if path in rest else x, params)
        return loss(params, *args, **options)

    return whole
