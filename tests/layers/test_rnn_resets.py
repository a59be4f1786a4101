"""Resets: packed sequences are as if alone, under any cell and formulation; residual layers; bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.layers import residual_rnn, rnn, rnn_cell, rnn_cell_spec
from tests.layers.recurrences import CELLS, SPECS, close, inputs, kinds, random_params


@kinds
@pytest.mark.parametrize("reverse", [False, True])
def test_sequences_in_a_row_are_each_as_if_alone(kind, reverse):
    p, x, cut = random_params(SPECS[kind](3, 4)), inputs(2, 5, 3), (2, 4)
    resets = jnp.zeros((2, 5), bool).at[0, cut[0] - reverse].set(True).at[1, cut[1] - reverse].set(True)

    @jax.jit
    def run(p, x):
        packed = rnn(CELLS[kind], p, x, resets=resets, reverse=reverse)[0]
        alone = [
            jnp.concatenate([rnn(CELLS[kind], p, part, reverse=reverse)[0] for part in (row[:n], row[n:])])
            for row, n in zip(x, cut, strict=True)
        ]
        return packed, jnp.stack(alone)

    close(*run(p, x))


def test_a_carry_that_is_reset_at_once_is_never_read():
    p, resets = random_params(SPECS["lstm"](3, 4)), jnp.zeros((2, 5), bool).at[:, 0].set(True)
    run = lambda carry: rnn(CELLS["lstm"], p, inputs(2, 5, 3), carry=carry, resets=resets)[0]
    carry = inputs(2, 4), inputs(2, 4)
    close(run(carry), run(jax.tree.map(jnp.zeros_like, carry)))
    assert not any(g.any() for g in jax.tree.leaves(jax.grad(lambda c: run(c).sum())(carry)))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_reset_past_the_length_is_not_there(reverse):
    p, x, carry = random_params(rnn_cell_spec(3, 4)), inputs(1, 4, 3), inputs(1, 4)
    resets = jnp.array([[False, True, False, True]])
    run = lambda n, **more: rnn(rnn_cell, p, x[:, :n], carry=carry, resets=resets[:, :n], reverse=reverse, **more)
    (y, last), (_, alone) = run(4, lengths=jnp.array([3])), run(3)
    close((y[:, :3], last), (run(3)[0], alone))


def test_a_residual_layer_adds_its_input_and_reads_nothing_past_the_length():
    p, x, lengths = random_params(rnn_cell_spec(3, 3)), inputs(2, 4, 3), np.array([4, 2])
    spoilt = np.where((np.arange(4) < lengths[:, None])[..., None], x, np.nan)
    y, carry = residual_rnn(partial(rnn, rnn_cell), p, spoilt, lengths=lengths)
    plain, last = rnn(rnn_cell, p, x, lengths=lengths)
    close((y, carry), (np.where(np.isnan(spoilt), 0, x + plain), last))


@pytest.mark.parametrize(
    ("resets", "error", "message"),
    [
        (jnp.ones((2, 5)), TypeError, r"rnn: expected resets that are bool, found float32\[2,5\]"),
        (jnp.ones(5, bool), ValueError, r"rnn: expected one reset per step, bool\[2,5\], found bool\[5\]"),
    ],
)
def test_bad_resets_are_one_clear_error(resets, error, message):
    with pytest.raises(error, match=message):
        rnn(rnn_cell, random_params(rnn_cell_spec(3, 4)), jnp.ones((2, 5, 3)), resets=resets)


def test_a_residual_layer_of_another_size_is_one_clear_error():
    with pytest.raises(ValueError, match=r"a layer that keeps the shape of x, float32\[5,3\], found float32\[5,4\]"):
        residual_rnn(partial(rnn, rnn_cell), random_params(rnn_cell_spec(3, 4)), jnp.ones((5, 3)))
