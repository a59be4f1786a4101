"""The layers of a stack, one after another: one body of code, however many there are.

    scan_layers(layer, stacked, x, "time", "embed", path="blocks", key=key, remat="dots") -> x

Laws: it is the loop over the layers; compile time does not grow with their number; remat and path change no value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn.axes import gather
from jnn.overrides import overridden
from jnn.remat import Remat, remat_layer

Layer = Callable[[Any, jax.Array, jax.Array | None, Any], jax.Array]  # (one layer's parameters, x, key, beside) -> x


def scan_layers(
    layer: Layer,
    stacked: Any,
    x: jax.Array,
    *names: str,
    path: str | None = None,
    key: jax.Array | None = None,
    remat: Remat = None,
    beside: Any = None,
) -> jax.Array:
    """Scan over layers: `x = layer(p, x, key, beside)` for every p of a stack.

    Args:
      layer: gives an array like the one it gets.
      stacked: parameters and whatever differs from layer to layer, with a leading axis of layers.
      x: (..., *names): what stands in front are rows, which do not see each other; so a parallel run may put them
        through in several parts.
      names: of the last axes, as in `jnn.axes.constrain`.
      path: where the stack lies in the params, for `jnn.axes.gather`: one layer is then whole at a time. None where
        layers gather for themselves.
      key: noise, None for none; layer i gets `fold_in(key, i)`, counted from 1: 0 is for what stands before them.
      remat: what the backward pass remembers of each layer, as in `jnn.remat`.
      beside: what else differs from row to row, with x's first axis; a mask, say. A layer may close over what does not.

    Returns:
      x after all layers.

    >>> w = jax.numpy.array([2.0, 3.0])
    >>> scan_layers(lambda p, x, key, _: p * x, w, jax.numpy.ones((4, 1)), "embed").ravel().tolist()
    [6.0, 6.0, 6.0, 6.0]
    """

    def own(one: tuple[Any, jax.Array | None], x: jax.Array, beside: Any) -> jax.Array:
        p, key = one
        return layer(p if path is None else gather(p, path), x, key, beside)

    number = jnp.arange(1, jax.tree.leaves(stacked)[0].shape[0] + 1)
    keys = None if key is None else jax.vmap(jax.random.fold_in, (None, 0))(key, number)
    scan = overridden("scan_layers", _scan)
    return scan(remat_layer(remat)(own), (stacked, keys), x, *names, beside=beside)


def _scan(layer: Callable[..., jax.Array], stacked: Any, x: jax.Array, *names: str, beside: Any) -> jax.Array:
    return jax.lax.scan(lambda x, p: (layer(p, x, beside), None), x, stacked)[0]
