"""Weights of torch's modules and of Keras's layers, read as ours, give the same outputs."""

import functools

import numpy as np
import pytest
import torch

from jnn.layers import (
    bidirectional,
    cell_from_keras,
    cell_from_torch,
    layers_from_torch,
    lstm_cell,
    projected_lstm_cell,
    rnn,
    rnn_cell,
    stacked_rnn,
)
from tests.layers.recurrences import CELLS, TORCH, close, inputs


def state_of(module):
    return {name: tensor.detach().numpy() for name, tensor in module.named_parameters()}


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm", "projected"])
@pytest.mark.parametrize("both_ways", [False, True])
def test_a_module_of_torch_loads_whole(kind, both_ways):
    torch.manual_seed(0)
    make = functools.partial(torch.nn.LSTM, proj_size=2) if kind == "projected" else TORCH[kind]
    module = make(3, 4, num_layers=2, batch_first=True, bidirectional=both_ways)
    cell = projected_lstm_cell if kind == "projected" else CELLS[kind]
    way = functools.partial(bidirectional if both_ways else rnn, cell)
    y, _ = stacked_rnn(way, layers_from_torch(state_of(module)), inputs(2, 5, 3), key=None)
    close(y, module(torch.tensor(inputs(2, 5, 3)))[0].detach().numpy())


def test_a_module_without_biases_loads_without_them():
    module = torch.nn.GRU(3, 4, bias=False)
    (p,) = layers_from_torch(state_of(module))
    assert [sorted(part) for part in p.values()] == [["w"], ["w"]]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def keras_lstm(kernel, recurrent, bias, h, c, x):
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c)


def keras_gru(kernel, recurrent, bias, h, c, x):
    """`reset_after=True`."""
    xz, xr, xh = np.split(x @ kernel + bias[0], 3, -1)
    hz, hr, hh = np.split(h @ recurrent + bias[1], 3, -1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    return z * h + (1 - z) * np.tanh(xh + r * hh)


def keras_rnn(kernel, recurrent, bias, h, c, x):
    return np.tanh(x @ kernel + h @ recurrent + bias)


@pytest.mark.parametrize(
    ("cell", "equations", "gates", "rows"),
    [(rnn_cell, keras_rnn, 1, ()), (lstm_cell, keras_lstm, 4, ()), (CELLS["gru"], keras_gru, 3, (2,))],
)
def test_keras_weights_load_and_give_what_keras_documents(cell, equations, gates, rows):
    d, h, rng = 3, 4, np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    weights, state = (draw(d, gates * h), draw(h, gates * h), draw(*rows, gates * h)), (draw(2, h), draw(2, h))
    carry = state if cell is lstm_cell else state[0]
    close(cell(cell_from_keras(*weights), carry, inputs(2, d))[1], equations(*weights, *state, inputs(2, d)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cell_from_torch(np.ones((8, 3)), np.ones((8, 4))), "1, 3 or 4 gates for a state of 4, found .*8, 3"),
        (lambda: cell_from_torch(np.ones((12, 3)), np.ones((12, 4)), np.ones(3)), "1, 3 or 4 gates for a state of 4"),
        (lambda: layers_from_torch({"rnn.weight_ih_l0": np.ones((3, 3))}), "such as 'weight_ih_l0', found 'rnn.weight"),
        (lambda: layers_from_torch({}), r"layers 0, 1, ... each once, found \[\]"),
        (lambda: cell_from_keras(np.ones((5, 9)), np.ones((3, 9)), np.ones(9)), "GRU with reset_after=True, found"),
    ],
)
def test_what_is_no_such_weights_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
