"""Variants of the gated cells and the quasi-recurrent layer, against their equations written out in torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import layers
from tests.layers.recurrences import close, inputs, random_params, sizes
from tests.oracle import assert_matches_torch, configurations

sigmoid, tanh = torch.sigmoid, torch.tanh
product = lambda x, w: torch.einsum("...d,dgh->...gh", x, w)


def peephole(p, state, x):
    (h, c), (pi, pf, po) = state, p["peephole"]["w"]
    i, f, g, o = (product(x, p["input"]["w"]) + p["input"]["b"] + product(h, p["recurrent"]["w"])).unbind(-2)
    c = sigmoid(f + pf * c) * c + sigmoid(i + pi * c) * tanh(g)
    return (sigmoid(o + po * c) * tanh(c), c), sigmoid(o + po * c) * tanh(c)


def mogrifier(p, state, x):
    h, c = state
    for k, part in enumerate(p["mogrifier"]):
        x, h = (2 * sigmoid(h @ part["w"]) * x, h) if k % 2 == 0 else (x, 2 * sigmoid(x @ part["w"]) * h)
    i, f, g, o = (product(x, p["input"]["w"]) + p["input"]["b"] + product(h, p["recurrent"]["w"])).unbind(-2)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return (sigmoid(o) * tanh(c), c), sigmoid(o) * tanh(c)


def minimal_gated(p, h, x):
    w, b, u = p["input"]["w"], p["input"]["b"], p["recurrent"]["w"]
    f = sigmoid(x @ w[:, 0] + b[0] + h @ u[:, 0])
    h = (1 - f) * h + f * tanh(x @ w[:, 1] + b[1] + (f * h) @ u[:, 1])
    return h, h


def sru(p, c, x):
    w, (vf, vr), (bf, br) = p["input"]["w"], p["recurrent"]["w"], p["recurrent"]["b"]
    f, r = sigmoid(x @ w[:, 1] + vf * c + bf), sigmoid(x @ w[:, 2] + vr * c + br)
    c = f * c + (1 - f) * (x @ w[:, 0])
    return c, r * c + (1 - r) * (x if w.shape[1] == 3 else x @ w[:, 3])


def qrnn(p, x):
    """Step by step, each over its own window."""
    w, c, ys = p["w"], torch.zeros(len(x), p["w"].shape[-1]), []
    padded = torch.cat([torch.zeros(len(x), len(w) - 1, x.shape[-1]), x], 1)
    for t in range(x.shape[1]):
        z, f, o = (torch.einsum("bkd,kdgh->bgh", padded[:, t : t + len(w)], w) + p["b"]).unbind(-2)
        c = sigmoid(f) * c + (1 - sigmoid(f)) * tanh(z)
        ys.append(sigmoid(o) * c)
    return torch.stack(ys, 1)


CASES = {
    "peephole_lstm": (layers.peephole_lstm_cell_spec, layers.peephole_lstm_cell, peephole, 2),
    "mogrifier_lstm": (layers.mogrifier_lstm_cell_spec, layers.mogrifier_lstm_cell, mogrifier, 2),
    "minimal_gated": (layers.minimal_gated_cell_spec, layers.minimal_gated_cell, minimal_gated, 1),
    "sru": (layers.sru_cell_spec, layers.sru_cell, sru, 1),
}


@pytest.mark.parametrize("kind", [*CASES, "qrnn"])
@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_a_cell_matches_its_equations(kind, rng):
    b, t, d, h = sizes(rng, 4)
    spec, cell, equations, states = CASES.get(kind, (layers.qrnn_spec, None, None, 0))
    leaves, tree = jax.tree.flatten(random_params(spec(d, h if rng.integers(2) else d), int(rng.integers(99))))
    width = leaves[0].shape[-1] if kind == "qrnn" else tree.unflatten(leaves)["input"]["w"].shape[-1]

    def ours(x, *leaves):
        p = tree.unflatten(leaves)
        return layers.qrnn(p, x)[0] if kind == "qrnn" else layers.rnn(cell, p, x)[0]

    def theirs(x, *leaves):
        p, ys = tree.unflatten(leaves), []
        if kind == "qrnn":
            return qrnn(p, x)
        state = tuple(torch.zeros(b, width) for _ in range(states)) if states > 1 else torch.zeros(b, width)
        for step in range(t):
            state, y = equations(p, state, x[:, step])
            ys.append(y)
        return torch.stack(ys, 1)

    assert_matches_torch(ours, theirs, [rng.normal(size=(b, t, d)).astype(np.float32), *map(np.asarray, leaves)])


def test_without_peepholes_and_rounds_they_are_an_lstm():
    p, x = random_params(layers.mogrifier_lstm_cell_spec(3, 4, rounds=0)), inputs(2, 3)
    carry = inputs(2, 4), inputs(2, 4) / 2
    plain = layers.lstm_cell({"input": p["input"], "recurrent": p["recurrent"]}, carry, x)
    close(layers.mogrifier_lstm_cell(p, carry, x), plain)
    close(layers.peephole_lstm_cell({**p, "peephole": {"w": jnp.zeros((3, 4))}}, carry, x), plain)


X = jnp.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.mogrifier_lstm_cell({"input": {}, "recurrent": {}}, None, X), "a list of maps in turn"),
        (
            lambda: layers.peephole_lstm_cell(random_params(layers.lstm_cell_spec(3, 4)), None, X),
            "peephole_lstm_cell: expected params, a dict with 'input', 'recurrent', 'peephole'",
        ),
        (lambda: layers.sru_cell(random_params(layers.sru_cell_spec(2, 4)), None, X), r"expect input \[...,2\]"),
        (
            lambda: layers.sru_cell(random_params(layers.sru_cell_spec(3, 4)), jnp.ones(4), X),
            r"sru_cell: for x float32\[2,3\] expected the carry float32\[2,4\], found float32\[4\]",
        ),
        (lambda: layers.qrnn(random_params(layers.qrnn_spec(3, 4)), jnp.ones(3)), "qrnn: expected an array of rank 2"),
        (
            lambda: layers.qrnn(random_params(layers.qrnn_spec(3, 4)), X, carry=(X, X)),
            r"qrnn: for x float32\[2,3\] expected the carry \('float32\[1,3\]', 'float32\[4\]'\)",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
