"""Real weights: Resemblyzer's speaker encoder, three LSTM layers, and what it makes of sounds.

See "Generalized End-to-End Loss for Speaker Verification", Wan, Wang, Papir and Lopez Moreno, 2018.
"""

import sys
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.signal import resample_poly

import jnn
from experiments.voices import BANDS, NAMES, PIECE, resemblyzer
from jnn.data import data_root
from jnn.interop.torch import load_state_dict
from jnn.models import speaker_encoder, speaker_encoder_spec
from tests.layers.recurrences import run_torch

FILE = "weights/resemblyzer/pretrained.pt"
HIDDEN = 256
SPEC = speaker_encoder_spec(BANDS, recurrent_bias=True)


@pytest.fixture(scope="module")
def weights():
    path = data_root() / FILE
    if not path.exists():
        pytest.skip(f"{path} is not here: fetch Resemblyzer's pretrained.pt, or set JNN_DATA")
    return torch.load(path, weights_only=True, map_location="cpu")["model_state"]


@pytest.fixture(scope="module")
def params(weights):
    return load_state_dict(SPEC, weights, NAMES, ignore=("similarity_*",))


@torch.no_grad()
def torchs(weights, x):
    layer = torch.nn.LSTM(BANDS, HIDDEN, num_layers=3, batch_first=True)
    lstm = [weights[f"lstm.{name}"] for name, _ in layer.named_parameters()]
    _, (h, _) = run_torch(layer, torch.tensor(x), lstm)
    y = torch.relu(torch.nn.functional.linear(h[-1], weights["linear.weight"], weights["linear.bias"]))
    return (y / torch.linalg.norm(y, dim=-1, keepdim=True)).numpy()


def mels(*shape):
    """Frames as the encoder sees them: powers, far below one most of the time."""
    return np.random.default_rng(0).lognormal(-4, 2, shape).astype(np.float32)


def test_gives_torchs_embeddings(weights, params):
    x = mels(2, 40, BANDS)
    ours = jax.jit(speaker_encoder)(params, x)
    np.testing.assert_allclose(ours, torchs(weights, x), atol=1e-4)
    np.testing.assert_allclose(jnp.linalg.norm(ours, axis=-1), 1, atol=1e-5)


def test_gives_torchs_embeddings_of_padded_utterances(weights, params):
    x, lengths = mels(2, 40, BANDS), np.array([40, 23])
    ours = jax.jit(speaker_encoder)(params, x, lengths=lengths)
    np.testing.assert_allclose(ours[1:], torchs(weights, x[1:, :23]), atol=1e-4)


def test_every_weight_is_used_and_a_missing_one_is_named(weights, params):
    trained = sum(w.numel() for name, w in weights.items() if not name.startswith("similarity"))
    assert jnn.count_params(SPEC) == trained
    with pytest.raises(ValueError, match=r"missing: out/b float32\[256\]"):
        jnn.load(SPEC, params | {"out": {"w": params["out"]["w"]}})


@pytest.mark.slow
def test_a_sound_is_what_the_package_makes_of_it(weights, monkeypatch):
    """The package's voice detector is left out: it needs a compiler, and shortens silences alone."""
    monkeypatch.setitem(sys.modules, "webrtcvad", ModuleType("webrtcvad"))
    moved = ModuleType("scipy.ndimage.morphology")
    moved.binary_dilation = ndimage.binary_dilation
    monkeypatch.setitem(sys.modules, "scipy.ndimage.morphology", moved)
    encoder = pytest.importorskip("resemblyzer.voice_encoder").VoiceEncoder.__new__(
        sys.modules["resemblyzer.voice_encoder"].VoiceEncoder
    )
    audio = sys.modules["resemblyzer.audio"]
    torch.nn.Module.__init__(encoder)
    encoder.lstm, encoder.linear = torch.nn.LSTM(BANDS, HIDDEN, 3, batch_first=True), torch.nn.Linear(HIDDEN, HIDDEN)
    encoder.relu, encoder.device = torch.nn.ReLU(), torch.device("cpu")
    encoder.load_state_dict({name: w for name, w in weights.items() if not name.startswith("similarity")})
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(3, PIECE)) * np.geomspace(1e-3, 0.1, 3)[:, None]).cumsum(-1) / 10
    x = (x - x.mean(-1, keepdims=True)).astype(np.float32)
    waves = [audio.normalize_volume(wave, -30, increase_only=True) for wave in resample_poly(x, 2, 1, axis=-1)]
    theirs = np.stack([encoder.embed_utterance(wave) for wave in waves])
    np.testing.assert_allclose(resemblyzer()(x), theirs, atol=1e-5)
