"""Patches as tokens: those of their own before them, each with its position.

A class token is there iff "class" is in p, behind it one of distillation iff "distill" is; positions are learned iff
"position" is in p, sines and cosines of row and column otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers import sinusoidal_positions
from jnn.param import Params
from jnn.precision import add_bias

OWN = ("class", "distill")


def patch_tokens(layer: str, p: Params, x: jax.Array) -> jax.Array:
    """Patches (..., y, x, d) as tokens (..., t, d)."""
    d = x.shape[-1]
    own = [add_bias(jnp.zeros((*x.shape[:-3], 1, d), x.dtype), p[name]) for name in OWN if name in p]
    return placed_tokens(layer, p, own, x)


def placed_tokens(layer: str, p: Params, own: Sequence[jax.Array], x: jax.Array) -> jax.Array:
    """Tokens (..., n, d) that stand before patches (..., y, x, d), and these, as tokens (..., t, d) at their places."""
    rows, columns, d = x.shape[-3:]
    where = None if "position" in p else _grid(rows, columns, d)
    x = x.reshape(*x.shape[:-3], rows * columns, d)
    x = x if where is None else add_bias(x, where)
    x = jnp.concatenate([*own, x], axis=-2) if own else x
    if "position" not in p:
        return x
    if len(table := p["position"]["table"]) != x.shape[-2]:
        raise ValueError(
            f"{layer}: found {rows} x {columns} patches, {x.shape[-2]} tokens; its params have {len(table)} positions. "
            "Resize the images, or interpolate the table of positions."
        )
    return add_bias(x, table)


def chosen_tokens(layer: str, p: Params, tokens: jax.Array, places: jax.Array) -> jax.Array:
    """Of tokens (..., t, d) those that stand before the patches, and the patches at places (..., k)."""
    own = own_tokens(p)
    places = checks.integers(layer, places, ndim=1, name="visible")
    checks.in_range(layer, places, tokens.shape[-2] - own, what="visible", of="patches")
    if places.shape[:-1] != tokens.shape[:-2]:
        raise ValueError(
            f"{layer}: expected places {(*tokens.shape[:-2], 'k')} of visible patches, found {checks.describe(places)}."
        )
    seen = jnp.take_along_axis(tokens[..., own:, :], places[..., None], axis=-2)
    return jnp.concatenate([tokens[..., :own, :], seen], axis=-2) if own else seen


def own_tokens(p: Params) -> int:
    """How many tokens stand before the patches."""
    return sum(name in p for name in OWN)


def _grid(rows: int, columns: int, d: int) -> jax.Array:
    """Sinusoidal positions (rows * columns, d): one half of the features for the row, one for the column."""
    y, x = (sinusoidal_positions(jnp.arange(n), d // 2) for n in (rows, columns))
    both = [jnp.broadcast_to(a, (rows, columns, d // 2)) for a in (y[:, None], x[None])]
    return jnp.concatenate(both, axis=-1).reshape(rows * columns, d)
