"""Helpers for tests of recurrences: every cell, torch's layers, and the documented transposition of their weights."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.layers import gru_cell, gru_cell_spec, lstm_cell, lstm_cell_spec, rnn_cell, rnn_cell_spec
from jnn.param import Spec

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
CELLS = {"rnn": rnn_cell, "lstm": lstm_cell, "gru": gru_cell}
SPECS = {
    name: functools.partial(spec, recurrent_bias=True)
    for name, spec in {"rnn": rnn_cell_spec, "lstm": lstm_cell_spec, "gru": gru_cell_spec}.items()
}
TORCH = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}

kinds = pytest.mark.parametrize("kind", sorted(CELLS))


def from_torch(kind, weight_ih, weight_hh, bias_ih, bias_hh):
    """A cell's parameters from torch's four arrays: what the docstring of `cell.py` says."""
    gates = (GATES[kind],) if GATES[kind] > 1 else ()
    h = len(weight_hh) // GATES[kind]
    shape = lambda w: w.T.reshape(w.shape[1], *gates, h)
    return {
        "input": {"w": shape(weight_ih), "b": bias_ih.reshape(*gates, h)},
        "recurrent": {"w": shape(weight_hh), "b": bias_hh.reshape(*gates, h)},
    }


def torch_arrays(rng: np.random.Generator, kind: str, d: int, h: int, n: int = 1) -> list[np.ndarray]:
    """torch's weight_ih, weight_hh, bias_ih, bias_hh, for n layers or directions."""
    f = GATES[kind] * h
    draw = lambda *s: rng.normal(size=s, scale=0.5).astype(np.float32)
    return [a for _ in range(n) for a in (draw(f, d), draw(f, h), draw(f), draw(f))]


def run_torch(layer: torch.nn.RNNBase, x: torch.Tensor, weights, **kwargs):
    """torch's layer as a function of its weights; x is batch first."""
    names = [name for name, _ in layer.named_parameters()]
    return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,), kwargs)


def random_params(spec: Spec, seed: int = 0):
    """Parameters away from their special initial values."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape, scale=0.5), jnp.float32), spec)


def sizes(rng, n):
    """n sizes from 1 to 5."""
    return rng.integers(1, 6, n).tolist()


def close(a, b):
    """Equal trees, to rounding."""
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), a, b)


def inputs(*shape):
    """The same normal numbers for the same shape."""
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)
