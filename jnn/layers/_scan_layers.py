"""The layers of a stack, one after another: one body of code, however many there are.

    scan_layers(layer, stacked, x, "time", "embed") -> x

Laws: it is the loop over the layers; compile time does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from jnn.overrides import overridden

Layer = Callable[[Any, jax.Array, Any], jax.Array]  # (one layer's parameters, x, beside) -> x


def scan_layers(layer: Layer, stacked: Any, x: jax.Array, *names: str, beside: Any = None) -> jax.Array:
    """Scan over layers: `x = layer(p, x, beside)` for every p of a stack.

    Args:
      layer: gives an array like the one it gets.
      stacked: parameters, keys and whatever differs from layer to layer, with a leading axis of layers.
      x: (..., *names): what stands in front are rows, which do not see each other; so a parallel run may put them
        through in several parts.
      names: of the last axes, as in `jnn.axes.constrain`.
      beside: what else differs from row to row, with x's first axis; a mask, say. A layer may close over what does not.

    Returns:
      x after all layers.

    >>> w = jax.numpy.array([2.0, 3.0])
    >>> scan_layers(lambda p, x, _: p * x, w, jax.numpy.ones((4, 1)), "embed").ravel().tolist()
    [6.0, 6.0, 6.0, 6.0]
    """
    return overridden("scan_layers", _scan)(layer, stacked, x, *names, beside=beside)


def _scan(layer: Layer, stacked: Any, x: jax.Array, *names: str, beside: Any) -> jax.Array:
    return jax.lax.scan(lambda x, p: (layer(p, x, beside), None), x, stacked)[0]
