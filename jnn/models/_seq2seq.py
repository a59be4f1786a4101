"""Sequence to sequence with attention: a recurrent encoder, and a recurrent decoder that attends to its states.

    seq2seq(p, source, target) -> logits                     taught: target are the true tokens, one step late
    seq2seq_decode(p, source, start, steps) -> tokens        on its own words

`cell` and `step` are functions. The encoder reads in both directions iff its parameters have a "backward" half. Laws:
what stands past a source's length changes nothing; decoded tokens are what `seq2seq`, given them, finds likeliest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.layers import (
    Carry,
    Cell,
    attention_decoder,
    bahdanau_spec,
    bahdanau_step,
    bidirectional,
    bidirectional_spec,
    embed,
    embed_spec,
    greedy_decode,
    gru_cell,
    gru_cell_spec,
    length_mask,
    linear,
    linear_spec,
    rnn,
)
from jnn.param import Params, Spec

Step = Callable[..., tuple[Carry, jax.Array]]  # (cell, p, carry, x, memory, *, mask) -> (carry, y)


def seq2seq_spec(
    source: int,
    target: int,
    d: int,
    hidden: int,
    *,
    cell_spec: Callable[..., Spec] = gru_cell_spec,
    step_spec: Callable[..., Spec] = bahdanau_spec,
    both_ways: bool = True,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a model of sequence to sequence (`seq2seq`).

    Args:
      source, target: how many tokens there are on either side.
      d: the size of an embedding.
      hidden: the size of a state, in each direction.
      cell_spec: `(d_in, d_hidden, *, dtype) -> spec`: `gru_cell_spec`, `lstm_cell_spec`, or a partial.
      step_spec: `(cell_spec, d_in, d_memory, d_hidden, *, dtype) -> spec`: `bahdanau_spec` or `luong_spec`.
      both_ways: whether the encoder reads backwards too.
      dtype: of all.

    Returns:
      {"source": embeddings, "encoder": cell, "target": embeddings, "decoder": as step_spec, "out": linear}

    >>> spec = seq2seq_spec(100, 90, 8, 16)
    >>> spec["decoder"]["cell"]["input"]["w"].shape, spec["out"]["w"].shape
    ((40, 3, 16), (48, 90))
    """
    cell = cell_spec(d, hidden, dtype=dtype)
    d_memory = 2 * hidden if both_ways else hidden
    decoder = step_spec(cell_spec, d, d_memory, hidden, dtype=dtype)
    d_out = hidden if "output" in decoder else hidden + d_memory  # Bahdanau's output has what was found beside it
    return {
        "source": embed_spec(source, d, dtype=dtype),
        "encoder": bidirectional_spec(cell) if both_ways else cell,
        "target": embed_spec(target, d, dtype=dtype),
        "decoder": decoder,
        "out": linear_spec(d_out, target, axes=("embed", "vocab"), dtype=dtype),
    }


def seq2seq(
    p: Params,
    source: jax.Array,
    target: jax.Array,
    *,
    lengths: jax.Array | None = None,
    cell: Cell = gru_cell,
    step: Step = bahdanau_step,
) -> jax.Array:
    """Sequence to sequence with attention, taught: logits of each target token, given those before it.

    See "Neural Machine Translation by Jointly Learning to Align and Translate", Bahdanau, Cho and Bengio, 2015;
    "Effective Approaches to Attention-based Neural Machine Translation", Luong, Pham and Manning, 2015. The decoder
    starts from zeros: what it knows of the source it finds by attention.

    Args:
      p: as declared by `seq2seq_spec`.
      source: (..., s), integers. Past an example's length any token may stand.
      target: (..., t), integers: what is read before each step, a token of its own first.
      lengths: (...), integers in 1..s: how many tokens of each source are valid. None: all.
      cell: the function that belongs to the spec's `cell_spec`.
      step: that of its `step_spec`: `bahdanau_step` or `luong_step`.

    Returns:
      (..., t, target tokens) logits, in the parameters' dtype.

    Raises:
      TypeError: source, target or lengths are not integers.
      ValueError: their shapes do not fit, or they are empty.

    >>> from jnn.param import abstract
    >>> p = abstract(seq2seq_spec(10, 9, 4, 5))
    >>> tokens = jax.ShapeDtypeStruct((2, 7), jnp.int32)
    >>> jax.eval_shape(seq2seq, p, tokens, jax.ShapeDtypeStruct((2, 6), jnp.int32)).shape
    (2, 6, 9)
    """
    _check("seq2seq", p, source)
    checks.integers("seq2seq", target, ndim=1, name="target")
    p = gather(p)
    memory, mask = _encode(p, source, lengths, cell)
    x = embed(p["target"], target)
    y, _ = attention_decoder(functools.partial(step, cell), p["decoder"], x, memory, mask=mask)
    return linear(p["out"], y)


def seq2seq_decode(
    p: Params,
    source: jax.Array,
    start: jax.Array,
    steps: int,
    *,
    lengths: jax.Array | None = None,
    end: int | None = None,
    cell: Cell = gru_cell,
    step: Step = bahdanau_step,
) -> jax.Array:
    """Greedy decoding of `seq2seq`: the likeliest token at every step, which the next step reads.

    Args:
      p, source, lengths, cell, step: as in `seq2seq`.
      start: (...), integers: the tokens that are read first, and not returned.
      steps: how many tokens to make.
      end: behind this token there is nothing but it; None: no token ends.

    Returns:
      (..., steps), in start's dtype.

    Raises:
      TypeError: source, start or lengths are not integers.
      ValueError: their shapes do not fit, or steps is less than 1.

    >>> from jnn.param import abstract
    >>> p = abstract(seq2seq_spec(10, 9, 4, 5))
    >>> jax.eval_shape(lambda p: seq2seq_decode(p, jnp.ones((2, 7), int), jnp.zeros(2, int), 3), p).shape
    (2, 3)
    """
    _check("seq2seq_decode", p, source)
    checks.integers("seq2seq_decode", start, name="start")
    p = gather(p)
    memory, mask = _encode(p, source, lengths, cell)
    read = lambda carry, x: step(cell, p["decoder"], carry, x, memory, mask=mask)

    def one(carry: Carry, token: jax.Array) -> tuple[Carry, jax.Array]:
        carry, y = read(carry, embed(p["target"], token))
        return carry, linear(p["out"], y)

    shapes, _ = jax.eval_shape(lambda x: read(None, x), embed(p["target"], start))
    return greedy_decode(one, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes), start, steps, end=end)


def _check(where: str, p: Params, source: jax.Array) -> None:
    checks.params(where, p, "source", "encoder", "target", "decoder", "out")
    checks.integers(where, source, ndim=1, name="source")


def _encode(p: Params, source: jax.Array, lengths: jax.Array | None, cell: Cell) -> tuple[jax.Array, jax.Array | None]:
    """The encoder's states (..., s, h), and which of them there are."""
    layer = bidirectional if "backward" in p["encoder"] else rnn
    memory, _ = layer(cell, p["encoder"], embed(p["source"], source), lengths=lengths)
    return memory, None if lengths is None else length_mask(lengths, source.shape[-1])
