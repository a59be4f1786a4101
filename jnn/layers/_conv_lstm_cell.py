"""Convolutional long short-term memory: `lstm_cell` whose maps are convolutions; the carry is (h, c), each an image.

A cell for `rnn`, which reads time along the axis before the last: a video (..., t, y, x, d) goes in as
`jnp.moveaxis(video, -4, -2)`, (..., y, x, t, d), and its maps of features come out likewise. To `rnn` each place is an
example: give it one length, or row of resets, for each, (..., y, x) or (..., y, x, t), equal over an image.

Laws: as in `_cell`; with kernels of size 1 it is an `lstm_cell` at each place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, glorot_uniform
from jnn.layers._cell import CellParams, check_params
from jnn.layers._conv import SPATIAL_AXES, conv
from jnn.layers._window import sliding
from jnn.param import Param, Spec

GATES = 4


def conv_lstm_cell_spec(
    c_in: int,
    c_hidden: int,
    kernel: Sequence[int],
    *,
    bias: bool = True,
    forget_bias: float = 1.0,
    init: Init = glorot_uniform,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a convolutional long short-term memory (`conv_lstm_cell`).

    Args:
      c_in: channels of the input.
      c_hidden: channels of the state.
      kernel: of both convolutions, its size along each spatial axis.
      bias: whether the input's map has a bias.
      forget_bias: initial bias of the forget gate; with 1 a fresh cell remembers.
      init: initial values of the weights of each gate.
      dtype: of all parameters.

    Returns:
      {"input": {"w": (*kernel, c_in, 4, c_hidden), "b": (4, c_hidden)}, "recurrent": {"w": (*kernel, c_hidden, 4,
      c_hidden)}}, the gates in the order input, forget, cell, output.

    >>> conv_lstm_cell_spec(3, 5, (3, 3))["input"]["w"].shape
    (3, 3, 3, 4, 5)
    """
    size = sliding("conv_lstm_cell_spec", kernel).size
    spatial = SPATIAL_AXES[len(size)]

    def weight(c: int, name: str) -> Param:
        names = (*spatial, name, "gates", "hidden")
        return Param((*size, c, GATES, c_hidden), init, names, dtype, (name,), ("hidden",), receptive=spatial)

    def gate_biases(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
        return jnp.zeros(shape, dtype).at[1].set(forget_bias)

    spec: Spec = {"input": {"w": weight(c_in, "channels")}, "recurrent": {"w": weight(c_hidden, "recurrent")}}
    if bias:
        spec["input"]["b"] = Param((GATES, c_hidden), gate_biases, ("gates", "hidden"), dtype)
    return spec


def conv_lstm_cell(
    p: CellParams, carry: tuple[jax.Array, jax.Array] | None, x: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Convolutional long short-term memory, one step: `c' = f c + i g`, `h' = o tanh(c')`, gates by convolutions.

    See "Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting", Shi et al., 2015,
    without its peepholes.

    Args:
      p: as declared by `conv_lstm_cell_spec`.
      carry: (h, c), each (..., *spatial, c_hidden), or None for zeros.
      x: (..., *spatial, c_in), floating point.

    Returns:
      ((h', c'), h'), in x's dtype.

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> p = jax.tree.map(lambda p: jnp.zeros(p.shape), conv_lstm_cell_spec(3, 2, (3, 3)))
    >>> conv_lstm_cell(p, None, jnp.ones((4, 4, 3)))[1].shape
    (4, 4, 2)
    """
    check_params("conv_lstm_cell", p)
    w = p["input"]["w"]
    checks.floats("conv_lstm_cell", x, ndim=w.ndim - 2)
    checks.trailing("conv_lstm_cell", x, w.shape[-3:-2])
    start = conv_lstm_carry(p, x)
    h, c = start if carry is None else carry
    if (h.shape, c.shape) != (start[0].shape, start[1].shape):
        raise ValueError(
            f"conv_lstm_cell: for x {checks.describe(x)} expected the carry {checks.describe(start[0])} twice, found "
            f"{checks.describe(h)} and {checks.describe(c)}."
        )
    z = _gates(p["input"], x) + _gates(p["recurrent"], h)
    i, f, g, o = jnp.split(z, GATES, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def conv_lstm_carry(p: CellParams, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The zero carry (h, c) of a `conv_lstm_cell` for inputs like x: each (..., *spatial, c_hidden), in x's dtype.

    >>> p = jax.tree.map(lambda p: jnp.zeros(p.shape), conv_lstm_cell_spec(3, 2, (3, 3)))
    >>> conv_lstm_carry(p, jnp.ones((4, 4, 3)))[0].shape
    (4, 4, 2)
    """
    h = jnp.zeros((*x.shape[:-1], p["recurrent"]["w"].shape[-1]), x.dtype)
    return h, h


def _gates(p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """(..., *spatial, 4 * h): one convolution for all gates."""
    w = p["w"].reshape(*p["w"].shape[:-2], -1)
    return conv({"w": w} | ({"b": p["b"].reshape(-1)} if "b" in p else {}), x)
