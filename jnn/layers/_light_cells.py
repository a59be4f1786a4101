"""Gated cells with fewer gates, or with gates that do without the state: the minimal gated unit and the SRU.

Laws: see `_cell`; an SRU's carry is its cell c alone, and its output is not its carry.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.initializers import glorot_uniform, zeros
from jnn.layers._cell import (
    CellParams,
    Init,
    check_carry,
    gated_spec,
    gates,
    orthogonal_init,
    state_carry,
    times,
)
from jnn.layers._linear import linear, linear_spec
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Param, Spec
from jnn.precision import add_bias


def minimal_gated_cell_spec(
    d_in: int,
    d_hidden: int,
    *,
    bias: bool = True,
    recurrent_bias: bool = False,
    init: Init = glorot_uniform,
    recurrent_init: Init = orthogonal_init,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a minimal gated unit (`minimal_gated_cell`).

    Args:
      d_in: features of the input.
      d_hidden: features of the state.
      bias: whether the input's map has a bias.
      recurrent_bias: whether the state's map has one too.
      init: initial values of the input's weights.
      recurrent_init: initial values of the (d_hidden, d_hidden) weights of each gate.
      dtype: of all parameters.

    Returns:
      {"input": {"w": (d_in, 2, d_hidden), "b": (2, d_hidden)}, "recurrent": {"w": (d_hidden, 2, d_hidden)}}, the
      forget gate first.

    >>> minimal_gated_cell_spec(3, 5)["input"]["w"].shape
    (3, 2, 5)
    """
    return gated_spec(2, d_in, d_hidden, bias, recurrent_bias, init, recurrent_init, dtype)


def minimal_gated_cell(p: CellParams, carry: jax.Array | None, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Minimal gated unit, one step: `h' = (1 - f) h + f n`, `n = tanh(x W + (f h) U + b)`.

    See "Minimal Gated Unit for Recurrent Neural Networks", Zhou, Wu, Zhang and Zhou, 2016.

    Args:
      p: as declared by `minimal_gated_cell_spec`.
      carry: h, (..., h), or None for zeros.
      x: (..., d), floating point.

    Returns:
      (h', h'), in x's dtype.

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> p = {"input": {"w": jnp.ones((3, 2, 4))}, "recurrent": {"w": jnp.ones((4, 2, 4))}}
    >>> minimal_gated_cell(p, None, jnp.zeros(3))[1].tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    h = check_carry("minimal_gated_cell", p, carry, x, state_carry)
    of_gate, of_new = ({name: leaf[..., gate, :] for name, leaf in p["recurrent"].items()} for gate in range(2))
    xf, xn = gates(linear(p["input"], x))
    f = jax.nn.sigmoid(xf + linear(of_gate, h))
    h = (1 - f) * h + f * jnp.tanh(xn + linear(of_new, f * h))
    return h, h


def sru_cell_spec(d_in: int, d_hidden: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a simple recurrent unit (`sru_cell`).

    Args:
      d_in: features of the input.
      d_hidden: features of the state; where they are d_in, the input itself is the highway.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"input": {"w": (d_in, 3, d_hidden)}, "recurrent": {"w": (2, d_hidden), "b": (2, d_hidden)}}: the new value, the
      forget and the reset gate, and of these two what the cell adds; if sizes differ, a fourth gate is the highway.

    >>> sru_cell_spec(3, 5)["input"]["w"].shape, sru_cell_spec(5, 5)["input"]["w"].shape
    ((3, 4, 5), (5, 3, 5))
    """
    maps, names = 3 + (d_in != d_hidden), ("gates", "hidden")
    side = {name: Param((2, d_hidden), zeros, names, dtype) for name in ("w", "b")}
    into = linear_spec(d_in, (maps, d_hidden), axes=("embed", *names), bias=False, init=init, dtype=dtype)
    return {"input": into, "recurrent": side}


def sru_cell(p: CellParams, carry: jax.Array | None, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Simple recurrent unit, one step: `c' = f c + (1 - f) W x`, `y = r c' + (1 - r) x`.

    See "Simple Recurrent Units for Highly Parallelizable Recurrence", Lei, Zhang, Wang, Dai and Artzi, 2018: the gates
    f and r see the cell c by one weight each, so that all products are of the input.

    Args:
      p: as declared by `sru_cell_spec`; the bias "b" is optional.
      carry: c, (..., h), or None for zeros.
      x: (..., d), floating point.

    Returns:
      (c', y), in x's dtype.

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), sru_cell_spec(3, 2))
    >>> sru_cell(p, None, jnp.zeros((5, 3)))[1].shape
    (5, 2)
    """
    c = check_carry("sru_cell", p, carry, x, _sru_carry)
    new, f, r, *highway = gates(linear(p["input"], x))
    side = jnp.stack([f, r], -2) + times(jnp.stack([c, c], -2), p["recurrent"]["w"])
    f, r = gates(jax.nn.sigmoid(add_bias(side, p["recurrent"]["b"]) if "b" in p["recurrent"] else side))
    c = f * c + (1 - f) * new
    return c, r * c + (1 - r) * (highway[0] if highway else x)


def _sru_carry(p: CellParams, x: jax.Array) -> jax.Array:
    return jnp.zeros((*x.shape[:-1], weight_shape(p["input"]["w"])[-1]), x.dtype)
