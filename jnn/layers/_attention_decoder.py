"""Recurrent decoders that attend to an encoder's states: taught by the targets, or on their own words.

    attention_decoder(step, p, x, memory) -> (y, carry)      teacher forcing: x are the targets, one step late
    greedy_decode(step, carry, start, steps) -> tokens       each step reads what the step before found likeliest

Laws: step by step = whole, for any step and any cell; greedily decoded tokens, given to the teacher-forced decoder,
are what it finds likeliest itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._rnn import Carry, rnn
from jnn.param import Params

Step = Callable[..., tuple[Carry, jax.Array]]  # (p, carry, x, memory, *, mask) -> (carry, y)


def attention_decoder(
    step: Step,
    p: Params,
    x: jax.Array,
    memory: jax.Array,
    *,
    mask: jax.Array | None = None,
    carry: Carry = None,
    lengths: jax.Array | None = None,
) -> tuple[jax.Array, Carry]:
    """Attention decoder with teacher forcing: all steps, each given the true input, whatever the last one said.

    See "A Learning Algorithm for Continually Running Fully Recurrent Neural Networks", Williams and Zipser, 1989.

    Args:
      step: `(p, carry, x, memory, *, mask) -> (carry, y)`, such as `functools.partial(luong_step, lstm_cell)`.
      p: the step's parameters.
      x: (..., t, d), floating point: the embedded targets, one step late.
      memory: (..., s, d_memory), the encoder's states.
      mask: bool, (..., 1, s) or (1, s), True where there is a state.
      carry, lengths: as in `rnn`.

    Returns:
      y (..., t, h) in x's dtype, and the last carry.

    Raises:
      TypeError, ValueError: as `rnn` and the step.

    >>> from functools import partial
    >>> from jnn.layers import gru_cell, gru_cell_spec, luong_spec, luong_step
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), luong_spec(gru_cell_spec, 3, 4, 5))
    >>> attention_decoder(partial(luong_step, gru_cell), p, jnp.ones((2, 7, 3)), jnp.ones((2, 6, 4)))[0].shape
    (2, 7, 5)
    """
    checks.array("attention_decoder", memory, "memory")

    def cell(both: Any, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
        return step(both["params"], carry, x, both["memory"], mask=mask)

    # the memory goes with the parameters: every step reads it, and its gradient is as long a sum as theirs
    return rnn(cell, {"params": p, "memory": memory}, x, carry=carry, lengths=lengths)


def greedy_decode(
    step: Callable[[Carry, jax.Array], tuple[Carry, jax.Array]],
    carry: Carry,
    start: jax.Array,
    steps: int,
    *,
    end: int | None = None,
) -> jax.Array:
    """Greedy decoding: at every step the likeliest token, which the next step reads.

    Args:
      step: `(carry, tokens (...)) -> (carry, logits (..., v))`: embeds, steps and scores.
      carry: before the first step; no None, as it has to keep its shape.
      start: (...), integers: the first tokens that are read, and not returned.
      steps: how many tokens to make.
      end: behind this token there is nothing but it; None: no token ends.

    Returns:
      (..., steps), in start's dtype.

    Raises:
      TypeError: start is not integers.
      ValueError: steps is less than 1.

    >>> count = lambda carry, token: (carry, jax.nn.one_hot(token + 1, 5))
    >>> greedy_decode(count, 0, jnp.array([0, 2]), 4, end=4).tolist()
    [[1, 2, 3, 4], [3, 4, 4, 4]]
    """
    checks.integers("greedy_decode", start, name="start")
    if steps < 1:
        raise ValueError(f"greedy_decode: expected at least one step, found {steps}.")

    def one(state: Any, _: None) -> tuple[Any, jax.Array]:
        carry, token, done = state
        carry, logits = step(carry, token)
        token = jnp.argmax(logits, -1).astype(start.dtype)
        if end is not None:
            token = jnp.where(done, jnp.asarray(end, start.dtype), token)
            done = token == end
        return (carry, token, done), token

    begun = carry, start, jnp.zeros(start.shape, bool)
    return jnp.moveaxis(jax.lax.scan(one, begun, None, length=steps)[1], 0, -1)
