"""What the recurrent cells share: two linear maps, an axis for the gates, a carry that is checked.

A cell is one step in time, `cell(p, carry, x) -> (carry, y)`. Its parameters are `{"input": linear,
"recurrent": linear}`, a map of x and one of the state h. Gates are an axis of their own, so that
"hidden" can be sharded: the weights are (d, gates, h) and (h, gates, h). Either map may have a bias.

Laws of every cell: `carry=None` is the zero carry; a carry begins with h, which is also the output y;
leading axes are free; the carry has x's dtype.

From torch, for gates in the same order and `recurrent_bias=True` (for the simple RNN without the gates):

    input.w      weight_ih.T.reshape(d, gates, h)       input.b      bias_ih.reshape(gates, h)
    recurrent.w  weight_hh.T.reshape(h, gates, h)       recurrent.b  bias_hh.reshape(gates, h)

From Keras nothing is transposed: `input.w` is `kernel.reshape(d, gates, h)`, `recurrent.w` is
`recurrent_kernel.reshape(h, gates, h)`, and the biases likewise (the GRU's, with `reset_after=True`, are the rows
of one array); its GRU orders the gates z r h, so take `[1, 0, 2]` along the axis of the gates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Initializer, VarianceScaling, orthogonal, zeros
from jnn.layers._linear import linear_spec
from jnn.param import Param, Spec

CellParams = dict[str, dict[str, jax.Array]]
Init = Initializer | VarianceScaling


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
) -> Spec:
    """Both maps of a cell with n gates; the rest is what `lstm_cell_spec` takes."""
    one = Param((d_hidden, d_hidden), recurrent_init, ("recurrent", "hidden"), dtype, ("recurrent",), ("hidden",))

    def each_gate(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
        draw = dataclasses.replace(one, dtype=dtype).draw
        return jax.vmap(draw, out_axes=1)(jax.random.split(key, n))

    names, shape = ("recurrent", "gates", "hidden"), (d_hidden, n, d_hidden)
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
    return jnp.zeros((*x.shape[:-1], p["recurrent"]["w"].shape[0]), x.dtype)


def gates(z: jax.Array) -> list[jax.Array]:
    """(..., gates, h) -> gates times (..., h)."""
    return [z[..., gate, :] for gate in range(z.shape[-2])]


def check_params(name: str, p: CellParams) -> None:
    """Raises unless p holds a cell's two maps."""
    checks.params(name, p, "input", "recurrent")
    for part in ("input", "recurrent"):
        checks.params(name, p[part], "w", may=("b",), what=f"params[{part!r}]")


def check_carry(name: str, p: CellParams, carry: Any, x: jax.Array, start: Callable[..., Any]) -> Any:
    """The carry, or zeros for None, once it and x are known to fit p."""
    check_params(name, p)
    checks.floats(name, x)
    checks.trailing(name, x, p["input"]["w"].shape[:1])
    if carry is None:
        return start(p, x)
    show = lambda tree: jax.tree.map(checks.describe, tree)
    want, found = show(jax.eval_shape(start, p, x)), show(carry)
    if want != found:
        raise ValueError(f"{name}: for x {checks.describe(x)} expected the carry {want}, found {found}.")
    return carry
