"""Stacks: equal to torch's, step by step = whole, where the dropout stands, bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.layers import bidirectional, gru_cell, rnn, stacked_rnn
from tests.layers.recurrences import (
    CELLS,
    SPECS,
    TORCH,
    close,
    from_torch,
    inputs,
    kinds,
    random_params,
    run_torch,
    sizes,
    torch_arrays,
)
from tests.oracle import assert_matches_torch, configurations


@pytest.mark.parametrize("rng", configurations(21, fast=(0, 1, 8)), ids=range(21))
def test_a_stack_in_both_directions_matches_torch(rng):
    kind = sorted(CELLS)[rng.integers(3)]
    b, t, h = sizes(rng, 3)
    layer = TORCH[kind](2 * h, h, num_layers=2, batch_first=True, bidirectional=True)

    def ours(x, *w):
        cells = [from_torch(kind, *w[i : i + 4]) for i in range(0, 16, 4)]
        p = [{"forward": a, "backward": b} for a, b in zip(cells[::2], cells[1::2], strict=True)]
        return stacked_rnn(partial(bidirectional, CELLS[kind]), p, x, key=None)[0]

    assert_matches_torch(
        ours,
        lambda x, *w: run_torch(layer, x, w)[0],
        [rng.normal(size=(b, t, 2 * h)).astype(np.float32), *torch_arrays(rng, kind, 2 * h, h, n=4)],
    )


@kinds
def test_a_stack_step_by_step_equals_whole_at_every_split(kind):
    p = [random_params(SPECS[kind](3, 4)), random_params(SPECS[kind](4, 4), 1)]

    @jax.jit
    def both(p, x):
        run, parts = partial(stacked_rnn, partial(rnn, CELLS[kind]), p, key=None), []
        for split in range(1, 3):
            first, carries = run(x[:, :split])
            second, carries = run(x[:, split:], carry=carries)
            parts.append((jnp.concatenate([first, second], axis=1), carries))
        return run(x), parts

    whole, parts = both(p, inputs(2, 3, 3))
    for found in parts:
        close(found, whole)


def test_dropout_stands_between_layers_only():
    p = [random_params(SPECS["gru"](3, 3)), random_params(SPECS["gru"](3, 3), 1)]
    run = jax.jit(partial(stacked_rnn, partial(rnn, gru_cell), x=inputs(5, 3), rate=0.5))
    noisy, quiet = run(p, key=jax.random.key(0)), run(p, key=None)
    assert not np.allclose(noisy[0], quiet[0])
    close(noisy[1][0], quiet[1][0])
    assert noisy[0].all()  # the last layer's outputs are not dropped
    close(run(p[:1], key=jax.random.key(0))[0], run(p[:1], key=None)[0])


P = random_params(SPECS["gru"](3, 4))


@pytest.mark.parametrize(
    ("p", "options", "error", "message"),
    [
        ({"0": P}, {}, TypeError, r"stacked_rnn: expected a list of layers' parameters, found dict"),
        ([], {}, ValueError, r"stacked_rnn: expected at least one layer's parameters, found none"),
        ([P], {"carry": [None, None]}, ValueError, r"stacked_rnn: expected a carry for each of 1 layers, found 2"),
        ([P] * 2, {}, ValueError, r"gru_cell: its parameters expect input \[...,3\], found float32\[2,4\]"),
        ([P] * 2, {"rate": 1.0}, ValueError, r"dropout: expected rate \(of dropping\) in"),
    ],
)
def test_bad_input_of_a_stack_is_one_clear_error(p, options, error, message):
    with pytest.raises(error, match=message):
        stacked_rnn(partial(rnn, gru_cell), p, jnp.ones((2, 5, 3)), key=None, **options)


def test_forgetting_the_key_of_a_stack_is_an_error():
    with pytest.raises(TypeError, match="key"):
        stacked_rnn(partial(rnn, gru_cell), [P], jnp.ones((2, 5, 3)))
