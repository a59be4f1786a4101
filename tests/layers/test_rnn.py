"""rnn against torch and Flax, and its laws: step by step = whole, padded = alone, causality; bad input."""

import itertools
from functools import partial

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import backend
from jnn.layers import gru_cell, lstm_cell, rnn, rnn_cell
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

ways = pytest.mark.parametrize(
    ("kind", "platform", "reverse"),
    [
        *itertools.product(["lstm"], ["cpu", "tpu"], [False, True]),
        *itertools.product(["gru"], ["cpu"], [False, True]),  # this one and the LSTM have a formulation of their own
        ("gru", "tpu", True),
        ("rnn", "cpu", False),
    ],
)


@kinds
@pytest.mark.parametrize("rng", configurations(fast=(0, 8, 11)), ids=range(20))
def test_one_direction_matches_torch(kind, rng):
    b, t, d, h = sizes(rng, 4)
    layer = TORCH[kind](d, h, batch_first=True)

    def ours(x, *weights):
        y, carry = rnn(CELLS[kind], from_torch(kind, *weights), x)
        return jnp.concatenate([y.reshape(b, -1), *jax.tree.leaves(carry)], axis=-1)

    def theirs(x, *weights):
        y, state = run_torch(layer, x, weights)
        states = state if isinstance(state, tuple) else (state,)
        return torch.cat([y.reshape(b, -1), *(s[0] for s in states)], dim=-1)

    assert_matches_torch(ours, theirs, [rng.normal(size=(b, t, d)).astype(np.float32), *torch_arrays(rng, kind, d, h)])


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_an_initial_carry_matches_torch(rng):
    b, t, d, h = sizes(rng, 4)
    layer = torch.nn.LSTM(d, h, batch_first=True)
    arrays = [rng.normal(size=s).astype(np.float32) for s in [(b, t, d), (b, h), (b, h)]]
    assert_matches_torch(
        lambda x, h, c, *w: rnn(lstm_cell, from_torch("lstm", *w), x, carry=(h, c))[0],
        lambda x, h, c, *w: run_torch(layer, x, w, hx=(h[None], c[None]))[0],
        [*arrays, *torch_arrays(rng, "lstm", d, h)],
    )


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_relu_matches_torch(rng):
    b, t, d, h = sizes(rng, 4)
    layer = torch.nn.RNN(d, h, batch_first=True, nonlinearity="relu")
    assert_matches_torch(
        lambda x, *w: rnn(partial(rnn_cell, activation=jax.nn.relu), from_torch("rnn", *w), x)[0],
        lambda x, *w: run_torch(layer, x, w)[0],
        [rng.normal(size=(b, t, d)).astype(np.float32), *torch_arrays(rng, "rnn", d, h)],
    )


def flax_params(p, names):
    """Ours as Linen's: one dense layer a gate and map."""
    tree = {}
    for gate, (into, back) in enumerate(names):
        for side, name in (("input", into), ("recurrent", back)):
            tree[name] = {"kernel": p[side]["w"][:, gate]} | ({"bias": p[side]["b"][gate]} if "b" in p[side] else {})
    return {"params": {"cell": tree}}


def test_lstm_matches_flax():
    names = [("ii", "hi"), ("if", "hf"), ("ig", "hg"), ("io", "ho")]
    theirs = flax.linen.RNN(flax.linen.OptimizedLSTMCell(4))

    @jax.jit
    def both(p, x):
        return rnn(lstm_cell, p, x)[0], theirs.apply(flax_params(p, names), x)

    for seed in range(5):
        p = random_params(SPECS["lstm"](3, 4), seed)
        del p["input"]["b"]  # Linen's only bias is the recurrent one
        close(*both(p, inputs(2, 5, 3)))


def test_gru_matches_flax():
    theirs = flax.linen.RNN(flax.linen.GRUCell(4))

    @jax.jit
    def both(p, x):
        tree = flax_params(p, [("ir", "hr"), ("iz", "hz"), ("in", "hn")])
        for name in ("hr", "hz"):
            del tree["params"]["cell"][name]["bias"]
        return rnn(gru_cell, p, x)[0], theirs.apply(tree, x)

    for seed in range(5):
        p = random_params(SPECS["gru"](3, 4), seed)
        p["recurrent"]["b"] = p["recurrent"]["b"].at[:2].set(0)  # Linen has the recurrent bias of the new gate alone
        close(*both(p, inputs(2, 5, 3)))


@ways
def test_step_by_step_equals_whole_at_every_split(kind, platform, reverse):
    cell, t, p, x = CELLS[kind], 4, random_params(SPECS[kind](3, 4)), inputs(2, 4, 3)

    @jax.jit
    def run(p, x):
        """The whole; the same in two parts, at every split; and in steps."""
        found = []
        for split in range(1, t):
            parts = [x[:, split:], x[:, :split]] if reverse else [x[:, :split], x[:, split:]]
            first, carry = rnn(cell, p, parts[0], reverse=reverse)
            second, carry = rnn(cell, p, parts[1], carry=carry, reverse=reverse)
            found.append((jnp.concatenate([second, first] if reverse else [first, second], axis=1), carry))
        carry, steps = None, [None] * t
        for i in reversed(range(t)) if reverse else range(t):
            carry, steps[i] = cell(p, carry, x[:, i])
        return rnn(cell, p, x, reverse=reverse), [*found, (jnp.stack(steps, axis=1), carry)]

    with backend.target(platform):
        whole, found = run(p, x)
    for parts in found:
        close(parts, whole)


@ways
def test_an_output_depends_on_its_past_alone(kind, platform, reverse):
    p = random_params(SPECS[kind](3, 4))
    with backend.target(platform):
        run = jax.jacrev(lambda x: rnn(CELLS[kind], p, x, reverse=reverse)[0].sum(-1))
        jacobian = jax.jit(run)(inputs(5, 3))
    reads = np.abs(jacobian).sum(-1) > 0
    np.testing.assert_array_equal(reads, np.tri(5, dtype=bool).T if reverse else np.tri(5, dtype=bool))


@ways
def test_what_stands_past_the_length_is_never_read(kind, platform, reverse):
    p, x, lengths = random_params(SPECS[kind](3, 4)), inputs(4, 5, 3), np.array([5, 3, 1, 0])
    valid = np.arange(5) < lengths[:, None]
    spoilt = np.where(valid[..., None], x, np.nan)

    def total(p, x):
        y, carry = rnn(CELLS[kind], p, x, lengths=lengths, reverse=reverse)
        return jnp.sum(y**2) + sum(jnp.sum(c) for c in jax.tree.leaves(carry)), (y, carry)

    with backend.target(platform):
        run = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))
        (_, (y, carry)), grads = run(p, x)
        (_, outputs), spoilt_grads = run(p, spoilt)
        close(outputs, (y, carry))
        close(spoilt_grads, grads)
        assert not grads[1][~valid].any()
        assert not y[~valid].any()
        alone = jax.jit(lambda p, *rows: [rnn(CELLS[kind], p, row, reverse=reverse) for row in rows])
        for row, own in enumerate(alone(p, *(x[row, : lengths[row]] for row in range(3)))):
            close((y[row, : lengths[row]], jax.tree.map(lambda c, row=row: c[row], carry)), own)
    assert not any(c[3].any() for c in jax.tree.leaves(carry))


ONES = jnp.ones((2, 5, 3))


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (jnp.ones(3), {}, ValueError, r"rnn: expected an array of rank 2 or more, found float32\[3\]"),
        (jnp.ones((2, 0, 3)), {}, ValueError, r"rnn: expected at least one example"),
        (jnp.ones((5, 3), int), {}, TypeError, r"rnn: expected floating-point input, found int32\[5,3\]"),
        (jnp.ones((5, 2)), {}, ValueError, r"lstm_cell: its parameters expect input \[...,3\], found float32\[2\]"),
        (ONES, {"carry": jnp.ones((2, 4))}, ValueError, r"lstm_cell: for x float32\[2,3\] expected the carry"),
        (
            ONES,
            {"carry": (jnp.ones((2, 4), jnp.bfloat16),) * 2},
            ValueError,
            r"expected the carry \('float32\[2,4\]', 'float32\[2,4\]'\), found \('bfloat16\[2,4\]', ",
        ),
        (ONES, {"lengths": jnp.ones(2)}, TypeError, r"rnn: expected integers, found float32\[2\]"),
        (
            ONES,
            {"lengths": jnp.ones(3, int)},
            ValueError,
            r"rnn: expected one length per example, integers\[2\], found",
        ),
        (
            ONES,
            {"lengths": jnp.array([1, 6])},
            ValueError,
            r"rnn: expected lengths in 0..5 \(there are 5 steps\), found 1..6",
        ),
        (ONES, {"lengths": jnp.array([-1, 5])}, ValueError, r"rnn: expected lengths in 0..5 .*, found -1..5"),
    ],
)
def test_bad_input_of_a_recurrence_is_one_clear_error(x, options, error, message):
    with pytest.raises(error, match=message):
        rnn(lstm_cell, random_params(SPECS["lstm"](3, 4)), x, **options)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_partial_of_no_arguments_is_the_cell(kind):
    """It runs by the formulation of the cell that it stands for; any other is scanned."""
    cell, p = CELLS[kind], random_params(SPECS[kind](3, 4))
    chosen = []
    for same in (cell, partial(cell), lambda p, carry, x: cell(p, carry, 2 * x)):
        with backend.target("cpu"), backend.recording() as made:
            jax.eval_shape(partial(rnn, same, p), jnp.ones((2, 5, 3)))
        chosen.append([choice.formulation for choice in made if choice.name == kind])
    own = [backend.TABLE[kind].cpu]
    assert chosen == [own, own, []]
