"""Patches as tokens: those of their own before them, each with its position.

A class token is there iff "class" is in p, behind it one of distillation iff "distill" is; positions are learned iff
"position" is in p, sines and cosines of row and column otherwise.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.layers import sinusoidal_positions
from jnn.param import Params
from jnn.precision import add_bias

OWN = ("class", "distill")


def patch_tokens(layer: str, p: Params, x: jax.Array) -> jax.Array:
    """Patches (..., y, x, d) as tokens (..., t, d)."""
    rows, columns, d = x.shape[-3:]
    where = None if "position" in p else _grid(rows, columns, d)
    x = x.reshape(*x.shape[:-3], rows * columns, d)
    x = x if where is None else add_bias(x, where)
    own = [add_bias(jnp.zeros((*x.shape[:-2], 1, d), x.dtype), p[name]) for name in OWN if name in p]
    x = jnp.concatenate([*own, x], axis=-2) if own else x
    if "position" not in p:
        return x
    if len(table := p["position"]["table"]) != x.shape[-2]:
        raise ValueError(
            f"{layer}: found {rows} x {columns} patches, {x.shape[-2]} tokens; its params have {len(table)} positions. "
            "Resize the images, or interpolate the table of positions."
        )
    return add_bias(x, table)


def _grid(rows: int, columns: int, d: int) -> jax.Array:
    """Sinusoidal positions (rows * columns, d): one half of the features for the row, one for the column."""
    y, x = (sinusoidal_positions(jnp.arange(n), d // 2) for n in (rows, columns))
    both = [jnp.broadcast_to(a, (rows, columns, d // 2)) for a in (y[:, None], x[None])]
    return jnp.concatenate(both, axis=-1).reshape(rows * columns, d)
