"""Recurrences against torch and Flax, and their laws: step by step = whole, padded = packed, causality."""

from functools import partial

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn import backend
from jnn.layers import bidirectional, bidirectional_spec, gru_cell, lstm_cell, rnn, rnn_cell, stacked
from tests.layers.recurrences import CELLS, SPECS, TORCH, from_torch, random_params, run_torch, torch_arrays
from tests.oracle import assert_matches_torch, configurations

kinds = pytest.mark.parametrize("kind", sorted(CELLS))
formulations = pytest.mark.parametrize("platform", ["cpu", "tpu"])
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def sizes(rng, *shape):
    return [int(n) for n in rng.integers(1, 6, *shape)]


def close(a, b):
    jax.tree.map(partial(np.testing.assert_allclose, **CLOSE), a, b)


def inputs(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@kinds
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
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


@pytest.mark.parametrize("rng", configurations(5), ids=range(5))
def test_an_initial_carry_matches_torch(rng):
    b, t, d, h = sizes(rng, 4)
    layer = torch.nn.LSTM(d, h, batch_first=True)
    arrays = [rng.normal(size=s).astype(np.float32) for s in [(b, t, d), (b, h), (b, h)]]
    assert_matches_torch(
        lambda x, h, c, *w: rnn(lstm_cell, from_torch("lstm", *w), x, carry=(h, c))[0],
        lambda x, h, c, *w: run_torch(layer, x, w, hx=(h[None], c[None]))[0],
        [*arrays, *torch_arrays(rng, "lstm", d, h)],
    )


@pytest.mark.parametrize("rng", configurations(5), ids=range(5))
def test_relu_matches_torch(rng):
    b, t, d, h = sizes(rng, 4)
    layer = torch.nn.RNN(d, h, batch_first=True, nonlinearity="relu")
    assert_matches_torch(
        lambda x, *w: rnn(partial(rnn_cell, activation=jax.nn.relu), from_torch("rnn", *w), x)[0],
        lambda x, *w: run_torch(layer, x, w)[0],
        [rng.normal(size=(b, t, d)).astype(np.float32), *torch_arrays(rng, "rnn", d, h)],
    )


@pytest.mark.parametrize("rng", configurations(21), ids=range(21))
def test_padded_equals_torchs_packed_in_both_directions(rng):
    kind = sorted(CELLS)[rng.integers(3)]
    b, t, d, h = sizes(rng, 4)
    lengths = rng.integers(1, t + 1, b)
    layer = TORCH[kind](d, h, batch_first=True, bidirectional=True)

    def ours(x, *w):
        p = {"forward": from_torch(kind, *w[:4]), "backward": from_torch(kind, *w[4:])}
        y, carry = bidirectional(CELLS[kind], p, x, lengths=lengths)
        states = [*jax.tree.leaves(carry["forward"]), *jax.tree.leaves(carry["backward"])]
        return jnp.concatenate([y.reshape(b, -1), *states], axis=-1)

    def theirs(x, *w):
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), True, enforce_sorted=False)
        y, state = run_torch(layer, packed, w)
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=t)
        states = state if isinstance(state, tuple) else (state,)
        return torch.cat([y.reshape(b, -1), *(s[i] for i in (0, 1) for s in states)], dim=-1)

    assert_matches_torch(
        ours, theirs, [rng.normal(size=(b, t, d)).astype(np.float32), *torch_arrays(rng, kind, d, h, n=2)]
    )


@pytest.mark.parametrize("rng", configurations(21), ids=range(21))
def test_a_stack_in_both_directions_matches_torch(rng):
    kind = sorted(CELLS)[rng.integers(3)]
    b, t, h = sizes(rng, 3)
    layer = TORCH[kind](2 * h, h, num_layers=2, batch_first=True, bidirectional=True)

    def ours(x, *w):
        cells = [from_torch(kind, *w[i : i + 4]) for i in range(0, 16, 4)]
        p = [{"forward": a, "backward": b} for a, b in zip(cells[::2], cells[1::2], strict=True)]
        return stacked(partial(bidirectional, CELLS[kind]), p, x, key=None)[0]

    assert_matches_torch(
        ours,
        lambda x, *w: run_torch(layer, x, w)[0],
        [rng.normal(size=(b, t, 2 * h)).astype(np.float32), *torch_arrays(rng, kind, 2 * h, h, n=4)],
    )


def flax_params(p, names):
    """Ours as Linen's: one dense layer a gate and map."""
    tree = {}
    for gate, (into, back) in enumerate(names):
        for side, name in (("input", into), ("recurrent", back)):
            tree[name] = {"kernel": p[side]["w"][:, gate]} | ({"bias": p[side]["b"][gate]} if "b" in p[side] else {})
    return {"params": {"cell": tree}}


@pytest.mark.parametrize("seed", range(5))
def test_lstm_matches_flax(seed):
    p = random_params(SPECS["lstm"](3, 4), seed)
    del p["input"]["b"]  # Linen's only bias is the recurrent one
    names = [("ii", "hi"), ("if", "hf"), ("ig", "hg"), ("io", "ho")]
    theirs = flax.linen.RNN(flax.linen.OptimizedLSTMCell(4)).apply(flax_params(p, names), inputs(2, 5, 3))
    close(rnn(lstm_cell, p, inputs(2, 5, 3))[0], theirs)


@pytest.mark.parametrize("seed", range(5))
def test_gru_matches_flax(seed):
    p = random_params(SPECS["gru"](3, 4), seed)
    p["recurrent"]["b"] = p["recurrent"]["b"].at[:2].set(0)  # Linen has the recurrent bias of the new gate alone
    tree = flax_params(p, [("ir", "hr"), ("iz", "hz"), ("in", "hn")])
    for name in ("hr", "hz"):
        del tree["params"]["cell"][name]["bias"]
    theirs = flax.linen.RNN(flax.linen.GRUCell(4)).apply(tree, inputs(2, 5, 3))
    close(rnn(gru_cell, p, inputs(2, 5, 3))[0], theirs)


def test_keras_gru_weights_load_by_reordering_the_gates():
    """Keras's GRU (`reset_after=True`) by its own equations: gates z r h, biases the rows of one array."""
    rng = np.random.default_rng(0)
    d, h = 3, 4
    kernel, recurrent, bias = (rng.normal(size=s).astype(np.float32) for s in [(d, 3 * h), (h, 3 * h), (2, 3 * h)])
    x, state = inputs(2, d), inputs(2, h)
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    xz, xr, xh = np.split(x @ kernel + bias[0], 3, axis=-1)
    hz, hr, hh = np.split(state @ recurrent + bias[1], 3, axis=-1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    expected = z * state + (1 - z) * np.tanh(xh + r * hh)
    order = [1, 0, 2]
    p = {
        "input": {"w": kernel.reshape(d, 3, h)[:, order], "b": bias[0].reshape(3, h)[order]},
        "recurrent": {"w": recurrent.reshape(h, 3, h)[:, order], "b": bias[1].reshape(3, h)[order]},
    }
    close(gru_cell(p, state, x)[1], expected)


@kinds
@formulations
@pytest.mark.parametrize("reverse", [False, True])
def test_step_by_step_equals_whole_at_every_split(kind, platform, reverse):
    t, p, x = 5, random_params(SPECS[kind](3, 4)), inputs(2, 5, 3)
    with backend.target(platform):
        whole, last = rnn(CELLS[kind], p, x, reverse=reverse)
        for split in range(1, t):
            parts = [x[:, split:], x[:, :split]] if reverse else [x[:, :split], x[:, split:]]
            first, carry = rnn(CELLS[kind], p, parts[0], reverse=reverse)
            second, carry = rnn(CELLS[kind], p, parts[1], carry=carry, reverse=reverse)
            close(jnp.concatenate([second, first] if reverse else [first, second], axis=1), whole)
            close(carry, last)
    carry = None
    for i in reversed(range(t)) if reverse else range(t):
        carry, y = CELLS[kind](p, carry, x[:, i])
        close(y, whole[:, i])
    close(carry, last)


@kinds
def test_a_stack_step_by_step_equals_whole_at_every_split(kind):
    p = [random_params(SPECS[kind](3, 4)), random_params(SPECS[kind](4, 4), 1)]
    run, x = partial(stacked, partial(rnn, CELLS[kind]), p, key=None), inputs(2, 5, 3)
    whole, last = run(x)
    for split in range(1, 5):
        first, carries = run(x[:, :split])
        second, carries = run(x[:, split:], carry=carries)
        close(jnp.concatenate([first, second], axis=1), whole)
        close(carries, last)


@kinds
@formulations
@pytest.mark.parametrize("reverse", [False, True])
def test_an_output_depends_on_its_past_alone(kind, platform, reverse):
    p = random_params(SPECS[kind](3, 4))
    with backend.target(platform):
        run = jax.jacrev(lambda x: rnn(CELLS[kind], p, x, reverse=reverse)[0].sum(-1))
        jacobian = jax.jit(run)(inputs(5, 3))
    reads = np.abs(jacobian).sum(-1) > 0
    np.testing.assert_array_equal(reads, np.tri(5, dtype=bool).T if reverse else np.tri(5, dtype=bool))


@kinds
@formulations
@pytest.mark.parametrize("reverse", [False, True])
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
        for row, length in enumerate(lengths[:3]):
            alone, last = rnn(CELLS[kind], p, x[row, :length], reverse=reverse)
            close(y[row, :length], alone)
            close(jax.tree.map(lambda c, row=row: c[row], carry), last)
    assert not any(c[3].any() for c in jax.tree.leaves(carry))


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_formulations_agree(rng):
    b, t, d, h = sizes(rng, 4)
    p = random_params(SPECS["lstm"](d, h))
    x, *carry, dy = (rng.normal(size=s).astype(np.float32) for s in [(b, t, d), (b, h), (b, h), (b, t, h)])
    lengths = rng.integers(0, t + 1, b) if rng.integers(2) else None
    reverse = bool(rng.integers(2))

    def projected(p, x, carry):
        y, last = rnn(lstm_cell, p, x, carry=carry, lengths=lengths, reverse=reverse)
        return jnp.sum(y * dy) + sum(jnp.sum(jnp.cos(leaf)) for leaf in last), (y, last)

    # a new function each time: jit's cache knows nothing of the target
    run = lambda: jax.jit(jax.value_and_grad(projected, argnums=(0, 1, 2), has_aux=True))
    fast = run()(p, x, tuple(carry))
    with backend.target("tpu"):
        close(run()(p, x, tuple(carry)), fast)


def test_on_a_cpu_the_weights_gradient_is_summed_in_float32():
    p = jax.tree.map(lambda a: jnp.asarray(a, jnp.bfloat16), random_params(SPECS["lstm"](2, 3)))
    x = jnp.ones((4, 300, 2), jnp.bfloat16)
    mean = lambda p, x: rnn(lstm_cell, p, x)[0].astype(jnp.float32).mean()
    grad = lambda p, x: jax.jit(jax.grad(mean))(p, x)["input"]["b"]
    exact = grad(jax.tree.map(lambda a: a.astype(jnp.float32), p), x.astype(jnp.float32))
    low = grad(p, x)
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(low, np.float32), exact, rtol=0.1, atol=0.02 * float(jnp.abs(exact).max()))


def test_every_derivative_is_there_where_the_cell_is_scanned():
    p, x = random_params(SPECS["lstm"](3, 4)), inputs(5, 3)
    run = lambda x: rnn(lstm_cell, p, x)[0]
    backwards = jax.jacrev(run)(x)
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(run, (x,), (x,))
    with backend.target("tpu"):
        close(jax.jacfwd(run)(x), backwards)


def test_second_derivatives_of_the_cpu_formulation():
    p, x = random_params(SPECS["lstm"](2, 2)), inputs(3, 2)
    energy = lambda x: jnp.sum(rnn(lstm_cell, p, x)[0] ** 2)
    ours = jax.jit(jax.jacfwd(jax.grad(energy)))(x)
    with backend.target("tpu"):
        close(ours, jax.jit(jax.hessian(energy))(x))


@kinds
def test_recurrent_weights_start_orthogonal_gate_by_gate(kind):
    w = jnn.init(SPECS[kind](3, 6), jax.random.key(0))["recurrent"]["w"].reshape(6, -1, 6)
    for gate in range(w.shape[1]):
        np.testing.assert_allclose(w[:, gate].T @ w[:, gate], np.eye(6), atol=1e-5)
    assert len({float(w[0, gate, 0]) for gate in range(w.shape[1])}) == w.shape[1]


def test_the_forget_gate_starts_open():
    b = jnn.init(jnn.layers.lstm_cell_spec(3, 4, forget_bias=2.0), jax.random.key(0))["input"]["b"]
    np.testing.assert_array_equal(b, np.array([0, 2, 0, 0])[:, None] * np.ones((1, 4)))


def test_low_precision_parameters_can_be_drawn():
    spec = jnn.layers.gru_cell_spec(3, 4, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(jnn.init(spec, jax.random.key(0)))} == {jnp.dtype(jnp.bfloat16)}


def test_dropout_stands_between_layers_only():
    p = [random_params(SPECS["gru"](3, 3)), random_params(SPECS["gru"](3, 3), 1)]
    run = partial(stacked, partial(rnn, gru_cell), x=inputs(5, 3), rate=0.5)
    noisy, quiet = run(p, key=jax.random.key(0)), run(p, key=None)
    assert not np.allclose(noisy[0], quiet[0])
    close(noisy[1][0], quiet[1][0])
    assert noisy[0].all()  # the last layer's outputs are not dropped
    close(run(p[:1], key=jax.random.key(0))[0], run(p[:1], key=None)[0])


P = {kind: random_params(SPECS[kind](3, 4)) for kind in CELLS}
ONES = jnp.ones((2, 5, 3))


@kinds
@pytest.mark.parametrize(
    ("x", "carry", "error", "message"),
    [
        (jnp.ones((2, 4)), None, ValueError, r"_cell: its parameters expect input \[...,3\], found float32\[2,4\]"),
        (jnp.ones((2, 3), int), None, TypeError, r"_cell: expected floating-point input, found int32\[2,3\]"),
        (jnp.ones((0, 3)), None, ValueError, r"_cell: expected at least one example"),
        (jnp.ones(()), None, ValueError, r"_cell: expected an array of rank 1 or more"),
        (jnp.ones((2, 3)), jnp.ones(5), ValueError, r"_cell: for x float32\[2,3\] expected the carry .*float32\[2,4\]"),
    ],
)
def test_bad_input_of_a_cell_is_one_clear_error(kind, x, carry, error, message):
    with pytest.raises(error, match=kind + message):
        CELLS[kind](P[kind], carry, x)


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
            r"rnn: expected lengths in 0..5 .* for 5 steps\), found 1..6",
        ),
        (ONES, {"lengths": jnp.array([-1, 5])}, ValueError, r"rnn: expected lengths in 0..5 .*, found -1..5"),
    ],
)
def test_bad_input_of_a_recurrence_is_one_clear_error(x, options, error, message):
    with pytest.raises(error, match=message):
        rnn(lstm_cell, P["lstm"], x, **options)


@pytest.mark.parametrize(
    ("p", "options", "error", "message"),
    [
        ({"0": P["gru"]}, {}, TypeError, r"stacked: expected a list of layers' parameters, found dict"),
        ([], {}, ValueError, r"stacked: expected at least one layer's parameters, found none"),
        ([P["gru"]], {"carry": [None, None]}, ValueError, r"stacked: expected a carry for each of 1 layers, found 2"),
        ([P["gru"]] * 2, {}, ValueError, r"gru_cell: its parameters expect input \[...,3\], found float32\[2,4\]"),
        ([P["gru"]] * 2, {"rate": 1.0}, ValueError, r"dropout: rate is the probability"),
    ],
)
def test_bad_input_of_a_stack_is_one_clear_error(p, options, error, message):
    with pytest.raises(error, match=message):
        stacked(partial(rnn, gru_cell), p, ONES, key=None, **options)


def test_forgetting_the_key_of_a_stack_is_an_error():
    with pytest.raises(TypeError, match="key"):
        stacked(partial(rnn, gru_cell), [P["gru"]], ONES)


def test_both_directions_have_their_own_parameters():
    p = jnn.init(bidirectional_spec(SPECS["gru"](3, 4)), jax.random.key(0))
    assert not np.allclose(p["forward"]["input"]["w"], p["backward"]["input"]["w"])
