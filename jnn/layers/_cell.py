"""What the recurrent cells share: two linear maps, an axis for the gates, a carry that is checked.

A cell is one step in time, `cell(p, carry, x) -> (carry, y)`. Its parameters are `{"input": linear,
"recurrent": linear}`, a map of x and one of the state h. Gates are an axis of their own, so that
"hidden" can be sharded: the weights are (d, gates, h) and (h, gates, h). Either map may have a bias.

Laws of every cell: `carry=None` is the zero carry; a carry begins with h, which is also the output y;
leading axes are free; the carry has x's dtype.

Weights of torch and of Keras: `_cell_weights`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, orthogonal, zeros
from jnn.layers._linear import linear_spec
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Param, Spec
from jnn.precision import over_last_axes, wide

CellParams = dict[str, dict[str, jax.Array]]


orthogonal_init = orthogonal()  # a state neither grows nor fades


def gated_spec(
    n: int,
    d_in: int,
    d_hidden: int,
    bias: bool,
    recurrent_bias: bool,
    init: Init,
    recurrent_init: Init,
    dtype: DTypeLike,
    *,
    d_state: int | None = None,
) -> Spec:
    """Both maps of a cell with n gates, of a state of d_hidden features or d_state; the rest as `lstm_cell_spec`."""
    size = (d_state or d_hidden, d_hidden)
    one = Param(size, recurrent_init, ("recurrent", "hidden"), dtype, ("recurrent",), ("hidden",))

    def each_gate(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
        draw = dataclasses.replace(one, dtype=dtype).draw
        return jax.vmap(draw, out_axes=1)(jax.random.split(key, n))

    names, shape = ("recurrent", "gates", "hidden"), (size[0], n, d_hidden)
    recurrent = {"w": Param(shape, each_gate, names, dtype, one.fan_in, one.fan_out)}
    if recurrent_bias:
        recurrent["b"] = Param(shape[1:], zeros, names[1:], dtype)
    axes = ("embed", "gates", "hidden")
    return {
        "input": linear_spec(d_in, (n, d_hidden), axes=axes, bias=bias, init=init, dtype=dtype),
        "recurrent": recurrent,
    }


def state_carry(p: CellParams, x: jax.Array) -> jax.Array:
    """A zero state for inputs like x: (..., h), in x's dtype.

    >>> state_carry({"recurrent": {"w": jnp.ones((2, 2))}}, jnp.ones((7, 3))).shape
    (7, 2)
    """
    return jnp.zeros((*x.shape[:-1], weight_shape(p["recurrent"]["w"])[0]), x.dtype)


def gates(z: jax.Array) -> list[jax.Array]:
    """(..., gates, h) -> gates times (..., h)."""
    return [z[..., gate, :] for gate in range(z.shape[-2])]


def times(x: jax.Array, v: jax.Array) -> jax.Array:
    """x (..., *s) times v (*s), in x's dtype; v's gradient is summed over the leading axes in float32 at least."""
    h = wide(x)
    return (h * over_last_axes(v, h)).astype(x.dtype)


def check_params(name: str, p: CellParams, *more: str) -> None:
    """Raises unless p holds a cell's two maps, and more."""
    checks.maps(name, p, "input", "recurrent", more=more)


def check_carry(name: str, p: CellParams, carry: Any, x: jax.Array, start: Callable[..., Any], *more: str) -> Any:
    """The carry, or zeros for None, once it and x are known to fit p, which holds more than two maps, if named."""
    check_params(name, p, *more)
    checks.floats(name, x)
    checks.trailing(name, x, weight_shape(p["input"]["w"])[:1])
    return same_carry(name, p, carry, x, start)


def same_carry(name: str, p: Any, carry: Any, x: jax.Array, start: Callable[..., Any]) -> Any:
    """The carry, or what `start(p, x)` gives for None; raises unless it is of the same shapes and dtypes."""
    if carry is None:
        return start(p, x)
    show = lambda tree: jax.tree.map(checks.describe, tree)
    want, found = show(jax.eval_shape(start, p, x)), show(carry)
    if want != found:
        raise ValueError(f"{name}: for x {checks.describe(x)} expected the carry {want}, found {found}.")
    return carry
