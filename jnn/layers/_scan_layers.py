"""The layers of a stack, one after another: one body of code, however many there are.

    scan_layers(layer, stacked, x, "time", "embed", path="blocks", key=key, remat="dots") -> x

Laws: it is the loop over the layers; compile time does not grow with their number; remat and path change no value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.axes import gather
from jnn.overrides import overridden
from jnn.param import flatten
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
      remat: what the backward pass remembers of each layer, as in `jnn.remat`. Of a tuple, a name that no value in the
        layer has remembers nothing, and is not found out: its spelling is yours to check.
      beside: what else differs from row to row, with x's first axis; a mask, say. A layer may close over what does not.

    Returns:
      x after all layers.

    Raises:
      TypeError: layer is not called as layer(p, x, key, beside); stacked is a spec, or holds what is no array.
      ValueError: stacked is empty, its arrays have no one leading size, or a layer gives something else than it gets.

    >>> w = jax.numpy.array([2.0, 3.0])
    >>> scan_layers(lambda p, x, key, _: p * x, w, jax.numpy.ones((4, 1)), "embed").ravel().tolist()
    [6.0, 6.0, 6.0, 6.0]
    """

    def own(one: tuple[Any, jax.Array | None], x: jax.Array, beside: Any) -> jax.Array:
        p, key = one
        y = layer(p if path is None else gather(p, path), x, key, beside)
        _check_same(x, y)
        return y

    _check_layer(layer)
    number = jnp.arange(1, _layers_of(stacked) + 1)
    keys = None if key is None else jax.vmap(jax.random.fold_in, (None, 0))(key, number)
    scan = overridden("scan_layers", _scan)
    return scan(remat_layer(remat)(own), (stacked, keys), x, *names, beside=beside)


def _scan(layer: Callable[..., jax.Array], stacked: Any, x: jax.Array, *names: str, beside: Any) -> jax.Array:
    return jax.lax.scan(lambda x, p: (layer(p, x, beside), None), x, stacked)[0]


def _layers_of(stacked: Any) -> int:
    """How many layers there are, by the leading axis of all arrays of a stack."""
    leaves = flatten(stacked)
    for path, x in leaves.items():
        checks.array("scan_layers", x, f"stacked{path and '/'}{path}")
    if not leaves or not all(map(jnp.ndim, leaves.values())) or len({jnp.shape(x)[0] for x in leaves.values()}) > 1:
        listed = [f"{path} {checks.describe(x)}".strip() for path, x in leaves.items()]
        found = ", ".join(listed[:8] + ["..."] * (len(listed) > 8)) or "no array at all"
        raise ValueError(
            f"scan_layers: expected a stack, whose arrays have one leading axis of layers, found {found}. "
            "jnn.init(jnn.stack(spec, n), key) draws n layers."
        )
    return int(jnp.shape(next(iter(leaves.values())))[0])


def _check_layer(layer: Any) -> None:
    """Raises TypeError for what cannot be called as a layer."""
    try:
        signature = inspect.signature(layer)
        signature.bind(None, None, None, None)
    except TypeError:
        found = f"one of {signature}" if callable(layer) else checks.describe(layer)
        raise TypeError(
            f"scan_layers: the layer is called as layer(p, x, key, beside), found {found}. Write, say, "
            "lambda p, x, key, _: layer(p, x)."
        ) from None
    except ValueError:  # a callable without a signature
        return


def _check_same(x: jax.Array, y: Any) -> None:
    """Raises ValueError unless a layer gave an array like the one it got; one whose type is weak takes the other's."""
    same = jnp.shape(y) == x.shape and (y.dtype == x.dtype or jax.typeof(x).weak_type) if hasattr(y, "dtype") else False
    if not same:
        cast = " Cast it: y.astype(x.dtype)." if hasattr(y, "dtype") and jnp.shape(y) == x.shape else ""
        raise ValueError(
            f"scan_layers: expected a layer that gives an array like the one it gets, {checks.describe(x)}; found "
            f"{checks.describe(y)}.{cast}"
        )
