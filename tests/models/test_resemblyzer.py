"""Real weights: Resemblyzer's speaker encoder, three LSTM layers, written with jnn's blocks.

See "Generalized End-to-End Loss for Speaker Verification", Wan, Wang, Papir and Lopez Moreno, 2018.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.data import data_root
from jnn.layers import linear, linear_spec, lstm_cell, lstm_cell_spec, rnn, stacked_rnn
from tests.layers.recurrences import from_torch, run_torch

FILE = "weights/resemblyzer/pretrained.pt"
MELS, HIDDEN = 40, 256
SPEC = {
    "lstm": [lstm_cell_spec(d, HIDDEN, recurrent_bias=True) for d in (MELS, HIDDEN, HIDDEN)],
    "out": linear_spec(HIDDEN, HIDDEN),
}
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def encode(p, x, lengths=None):
    """Mel frames (..., t, 40) -> a unit vector (..., 256)."""
    _, carries = stacked_rnn(partial(rnn, lstm_cell), p["lstm"], x, lengths=lengths, key=None)
    h, _ = carries[-1]
    y = jax.nn.relu(linear(p["out"], h))
    return y / jnp.linalg.norm(y, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def weights():
    path = data_root() / FILE
    if not path.exists():
        pytest.skip(f"{path} is not here: fetch Resemblyzer's pretrained.pt, or set JNN_DATA")
    return torch.load(path, weights_only=True, map_location="cpu")["model_state"]


@pytest.fixture(scope="module")
def params(weights):
    cells = [from_torch("lstm", *(weights[f"lstm.{part}_l{i}"].numpy() for part in PARTS)) for i in range(3)]
    out = {"w": weights["linear.weight"].numpy().T, "b": weights["linear.bias"].numpy()}
    return jnn.load(SPEC, {"lstm": cells, "out": out})


@torch.no_grad()
def torchs(weights, x):
    layer = torch.nn.LSTM(MELS, HIDDEN, num_layers=3, batch_first=True)
    lstm = [weights[f"lstm.{name}"] for name, _ in layer.named_parameters()]
    _, (h, _) = run_torch(layer, torch.tensor(x), lstm)
    y = torch.relu(torch.nn.functional.linear(h[-1], weights["linear.weight"], weights["linear.bias"]))
    return (y / torch.linalg.norm(y, dim=-1, keepdim=True)).numpy()


def mels(*shape):
    """Frames as the encoder sees them: powers, far below one most of the time."""
    return np.random.default_rng(0).lognormal(-4, 2, shape).astype(np.float32)


def test_gives_torchs_embeddings(weights, params):
    x = mels(2, 40, MELS)
    ours = jax.jit(encode)(params, x)
    np.testing.assert_allclose(ours, torchs(weights, x), atol=1e-4)
    np.testing.assert_allclose(jnp.linalg.norm(ours, axis=-1), 1, atol=1e-5)


def test_gives_torchs_embeddings_of_padded_utterances(weights, params):
    x, lengths = mels(2, 40, MELS), np.array([40, 23])
    ours = jax.jit(encode)(params, x, lengths)
    np.testing.assert_allclose(ours[1:], torchs(weights, x[1:, :23]), atol=1e-4)


def test_every_weight_is_used_and_a_missing_one_is_named(weights, params):
    trained = sum(w.numel() for name, w in weights.items() if not name.startswith("similarity"))
    assert jnn.count_params(SPEC) == trained
    with pytest.raises(ValueError, match=r"missing: out/b float32\[256\]"):
        jnn.load(SPEC, params | {"out": {"w": params["out"]["w"]}})
