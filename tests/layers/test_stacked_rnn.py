"""Stacks, residual and projected layers: equal to torch's; step by step; where the dropout stands; bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from jnn.layers import bidirectional, gru_cell, projected_lstm_cell, residual_rnn, rnn, stacked_rnn
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


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_residual_layers_match_torch(rng):
    """One way or both, two of them in a stack; what stands past a length is never read."""
    kind, both_ways = sorted(CELLS)[rng.integers(3)], bool(rng.integers(2))
    b, t, h = sizes(rng, 3)
    ways = 1 + both_ways
    layer = TORCH[kind](ways * h, h, batch_first=True, bidirectional=both_ways)
    lengths, each = rng.integers(1, t + 1, b), 4 * ways
    past = (np.arange(t) >= lengths[:, None])[..., None]

    def ours(x, *w):
        p = [from_torch(kind, *w[i : i + 4]) for i in range(0, 2 * each, 4)]
        if both_ways:
            p = [{"forward": a, "backward": b} for a, b in zip(p[::2], p[1::2], strict=True)]
        way = partial(residual_rnn, partial(bidirectional if both_ways else rnn, CELLS[kind]))
        return stacked_rnn(way, p, jnp.where(past, jnp.nan, x), key=None, lengths=jnp.asarray(lengths))[0]

    def theirs(x, *w):
        x = torch.where(torch.tensor(past), 0, x)
        for one in (w[:each], w[each:]):
            packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
            x = x + pad_packed_sequence(run_torch(layer, packed, one)[0], batch_first=True, total_length=t)[0]
        return x

    weights = torch_arrays(rng, kind, ways * h, h, n=2 * ways)
    assert_matches_torch(ours, theirs, [rng.normal(size=(b, t, ways * h)).astype(np.float32), *weights])


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_a_projected_layer_matches_torch(rng):
    b, t, d, r = sizes(rng, 4)
    h, given = r + int(rng.integers(1, 5)), bool(rng.integers(2))
    layer = torch.nn.LSTM(d, h, proj_size=r, batch_first=True)
    draw = lambda *shape: rng.normal(size=shape, scale=0.5).astype(np.float32)

    def ours(x, state, c, *w):
        carry = (state, c) if given else None
        p = from_torch("lstm", *w[:4]) | {"projection": {"w": w[4].T}}
        y, (state, c) = rnn(projected_lstm_cell, p, x, carry=carry)
        return jnp.concatenate([y.reshape(b, -1), state, c], -1)

    def theirs(x, state, c, *w):
        y, last = run_torch(layer, x, w, hx=(state[None], c[None]) if given else None)
        return torch.cat([y.reshape(b, -1), *(a[0] for a in last)], -1)

    weights = [draw(*w.shape) for w in layer.parameters()]
    assert_matches_torch(ours, theirs, [draw(b, t, d), draw(b, r), draw(b, h), *weights])


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
