"""Steps of recurrent decoders that attend to an encoder's states, for any cell.

    bahdanau_step(cell, p, carry, x, memory) -> (carry, y)   attends, then steps
    luong_step(cell, p, carry, x, memory) -> (carry, y)      steps, then attends

All steps of a sequence: `_attention_decoder`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, glorot_uniform
from jnn.layers._linear import linear, linear_spec
from jnn.layers._quantized_weight import weight_shape
from jnn.layers._rnn import Carry, Cell
from jnn.layers._score_attention import (
    additive_attention,
    additive_attention_spec,
    multiplicative_attention,
    multiplicative_attention_spec,
)
from jnn.param import Params, Spec


def bahdanau_spec(
    cell: Callable[..., Spec],
    d_in: int,
    d_memory: int,
    d_hidden: int,
    *,
    init: Init = glorot_uniform,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares Bahdanau's decoder (`bahdanau_step`).

    Args:
      cell: declares a cell of so many inputs and features, such as `gru_cell_spec`.
      d_in: features of the input.
      d_memory: features of the encoder's states.
      d_hidden: features of the state, and of the layer that scores.
      init: initial values of the attention's weights.
      dtype: of all parameters.

    Returns:
      {"attention": as `additive_attention_spec`, "cell": of d_in + d_memory inputs}

    >>> from jnn.layers import gru_cell_spec
    >>> bahdanau_spec(gru_cell_spec, 3, 4, 5)["cell"]["input"]["w"].shape
    (7, 3, 5)
    """
    attention = additive_attention_spec(d_hidden, d_memory, d_hidden, init=init, dtype=dtype)
    return {"attention": attention, "cell": cell(d_in + d_memory, d_hidden, dtype=dtype)}


def bahdanau_step(
    cell: Cell, p: Params, carry: Carry, x: jax.Array, memory: jax.Array, *, mask: jax.Array | None = None
) -> tuple[Carry, jax.Array]:
    """Bahdanau decoder, one step: the state attends to the memory, and the cell reads x and what was found.

    See "Neural Machine Translation by Jointly Learning to Align and Translate", Bahdanau, Cho and Bengio, 2015.

    Args:
      cell: `(p, carry, x) -> (carry, y)`, whose carry begins with its state.
      p: as declared by `bahdanau_spec`.
      carry: the cell's, or None for zeros.
      x: (..., d), floating point.
      memory: (..., s, d_memory), the encoder's states.
      mask: bool, (..., 1, s) or (1, s), True where there is a state; see `length_mask`.

    Returns:
      The cell's carry, and y (..., h + d_memory): its output and what was found.

    Raises:
      TypeError, ValueError: as the cell and `additive_attention`.

    >>> from jnn.layers import gru_cell, gru_cell_spec
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), bahdanau_spec(gru_cell_spec, 3, 4, 5))
    >>> bahdanau_step(gru_cell, p, None, jnp.ones((2, 3)), jnp.ones((2, 6, 4)))[1].shape
    (2, 9)
    """
    checks.params("bahdanau_step", p, "attention", "cell")
    checks.floats("bahdanau_step", x)
    checks.array("bahdanau_step", memory, "memory")
    if carry is None:
        wider = jax.ShapeDtypeStruct((*x.shape[:-1], x.shape[-1] + memory.shape[-1]), x.dtype)
        carry = _zeros(cell, p["cell"], wider)
    state = jax.tree.leaves(carry)[0]
    context, _ = additive_attention(p["attention"], state[..., None, :], memory, mask=mask)
    found = context[..., 0, :].astype(x.dtype)
    carry, y = cell(p["cell"], carry, jnp.concatenate([x, found], -1))
    return carry, jnp.concatenate([y, found], -1)


def luong_spec(
    cell: Callable[..., Spec],
    d_in: int,
    d_memory: int,
    d_hidden: int,
    *,
    general: bool = True,
    init: Init = glorot_uniform,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares Luong's decoder (`luong_step`).

    Args:
      cell: declares a cell of so many inputs and features, such as `lstm_cell_spec`.
      d_in: features of the input.
      d_memory: features of the encoder's states.
      d_hidden: features of the state, and of the output.
      general: whether the score has weights; without them d_memory is d_hidden.
      init: initial values of the attention's weights and of the map of the output.
      dtype: of all parameters.

    Returns:
      {"attention": as `multiplicative_attention_spec` or {}, "cell": of d_in + d_hidden inputs, "output": {"w":
      (d_memory + d_hidden, d_hidden)}}

    >>> from jnn.layers import gru_cell_spec
    >>> luong_spec(gru_cell_spec, 3, 4, 5)["cell"]["input"]["w"].shape
    (8, 3, 5)
    """
    return {
        "attention": multiplicative_attention_spec(d_hidden, d_memory, init=init, dtype=dtype) if general else {},
        "cell": cell(d_in + d_hidden, d_hidden, dtype=dtype),
        "output": linear_spec(d_memory + d_hidden, d_hidden, bias=False, init=init, dtype=dtype),
    }


def luong_step(
    cell: Cell, p: Params, carry: Carry, x: jax.Array, memory: jax.Array, *, mask: jax.Array | None = None
) -> tuple[Carry, jax.Array]:
    """Luong decoder, one step: the cell reads x and the last output, and its state attends to the memory.

    See "Effective Approaches to Attention-based Neural Machine Translation", Luong, Pham and Manning, 2015: global
    attention with input feeding, `y = tanh([found, h] W)`.

    Args:
      cell: `(p, carry, x) -> (carry, y)`.
      p: as declared by `luong_spec`.
      carry: (the last y, the cell's carry), or None for zeros.
      x: (..., d), floating point.
      memory: (..., s, d_memory), the encoder's states.
      mask: bool, (..., 1, s) or (1, s), True where there is a state; see `length_mask`.

    Returns:
      (y, the cell's carry), and y (..., h).

    Raises:
      TypeError, ValueError: as the cell and `multiplicative_attention`.

    >>> from jnn.layers import gru_cell, gru_cell_spec
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), luong_spec(gru_cell_spec, 3, 4, 5))
    >>> luong_step(gru_cell, p, None, jnp.ones((2, 3)), jnp.ones((2, 6, 4)))[1].shape
    (2, 5)
    """
    checks.maps("luong_step", p, "output", more=("attention", "cell"))
    checks.floats("luong_step", x)
    nothing = jnp.zeros((*x.shape[:-1], weight_shape(p["output"]["w"])[1]), x.dtype)
    before, inner = (nothing, None) if carry is None else carry
    inner, h = cell(p["cell"], inner, jnp.concatenate([x, before], -1))
    context, _ = multiplicative_attention(p["attention"], h[..., None, :], memory, mask=mask)
    y = jnp.tanh(linear(p["output"], jnp.concatenate([context[..., 0, :].astype(x.dtype), h], -1)))
    return (y, inner), y


def _zeros(cell: Cell, p: Params, x: jax.ShapeDtypeStruct) -> Carry:
    """The carry that a cell starts from."""
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(cell, p, None, x)[0])
