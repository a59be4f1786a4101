"""Recurrent cells beyond the first three, and decoders with attention."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp

from jnn import layers
from jnn.laws import Block
from tests.table.layers import recurring
from tests.table.rows import floats


def decoding(name, spec, step):
    """A decoder with attention, taught by its targets."""
    return Block(
        name,
        spec,
        lambda p, x, memory, key: layers.attention_decoder(step, p, x, memory)[0],
        lambda rng: floats(3, 3)(rng) + floats(4, 2)(rng),
        causal=True,
    )


def resetting(p, x, key):
    """A residual stack whose layers begin anew where the first feature of x is positive."""
    layer = lambda p, y, **more: layers.rnn(layers.minimal_gated_cell, p, y, resets=x[..., 0] > 0, **more)
    return layers.stacked_rnn(partial(layers.residual_rnn, layer), p, x, key=None)


BLOCKS = [
    recurring("peephole_lstm", layers.peephole_lstm_cell_spec(3, 4), layers.peephole_lstm_cell),
    recurring("projected_lstm", layers.projected_lstm_cell_spec(3, 4, 2), layers.projected_lstm_cell),
    recurring("mogrifier_lstm", layers.mogrifier_lstm_cell_spec(3, 4, rounds=2), layers.mogrifier_lstm_cell),
    recurring("minimal_gated", layers.minimal_gated_cell_spec(3, 4), layers.minimal_gated_cell),
    recurring("sru", layers.sru_cell_spec(3, 4), layers.sru_cell),
    Block(
        "qrnn",
        layers.qrnn_spec(3, 4, kernel=3),
        lambda p, x, key: layers.qrnn(p, x),
        floats(6, 3),
        causal=True,
        chunk=lambda p, x, carry: layers.qrnn(p, x, carry=carry),
    ),
    Block(
        "stacked-residual-resets",
        [layers.minimal_gated_cell_spec(4, 4)] * 2,
        resetting,
        floats(3, 4),
        causal=True,
    ),
    Block(
        "additive_attention",
        layers.additive_attention_spec(3, 2, 4),
        lambda p, q, k, key: layers.additive_attention(p, q, k, mask=jnp.array([[True, True, False, True]])),
        lambda rng: floats(3, 3)(rng) + floats(4, 2)(rng),
    ),
    Block(
        "multiplicative_attention",
        layers.multiplicative_attention_spec(3, 2),
        lambda p, q, k, key: layers.multiplicative_attention(p, q, k),
        lambda rng: floats(3, 3)(rng) + floats(4, 2)(rng),
    ),
    decoding(
        "bahdanau", layers.bahdanau_spec(layers.rnn_cell_spec, 3, 2, 4), partial(layers.bahdanau_step, layers.rnn_cell)
    ),
    decoding("luong", layers.luong_spec(layers.gru_cell_spec, 3, 2, 4), partial(layers.luong_step, layers.gru_cell)),
]
