"""Real weights: Silero's detector of speech, a Fourier transform by convolution, four more and an LSTM.

The model: "Silero VAD", Silero Team, 2021, version 6, for 16 kHz. Its two files hold different weights of one network.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import torch
from torch.nn import functional as F

import jnn
from jnn.data import data_root, read_safetensors, read_wav
from jnn.interop.torch import load_state_dict
from jnn.layers import conv, conv_spec, lstm_cell, lstm_cell_spec, rnn
from tests.layers.recurrences import from_torch, run_torch

HOME = "weights/silero_vad"
RATE, CHUNK, CONTEXT, WINDOW, HOP = 16_000, 512, 64, 256, 128  # samples
BINS, D = WINDOW // 2 + 1, 128
STRIDES = {"conv1": 1, "conv2": 2, "conv3": 2, "conv4": 1}
GATES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
NAMES = {"stft/*": "stft_conv.*", "out/*": "final_conv.*"}


def vad_spec():
    widths = (BINS, 128, 64, 64, D)
    return {
        "stft": conv_spec(1, 2 * BINS, (WINDOW,), bias=False),
        **{name: conv_spec(widths[i], widths[i + 1], (3,)) for i, name in enumerate(STRIDES)},
        "lstm": lstm_cell_spec(D, D, recurrent_bias=True),
        "out": conv_spec(D, 1, (1,)),
    }


def vad(p, chunks, carry=None):
    """Chunks (..., t, CONTEXT + CHUNK) -> the probability of speech in each (..., t), and the LSTM's carry."""
    padded = jnp.pad(chunks, [(0, 0)] * (chunks.ndim - 1) + [(0, CONTEXT)], mode="reflect")
    real, imaginary = jnp.split(conv(p["stft"], padded[..., None], stride=HOP, padding="VALID"), 2, -1)
    x = jnp.hypot(real, imaginary)
    for name, stride in STRIDES.items():
        x = jax.nn.relu(conv(p[name], x, stride=stride, padding=1))
    y, carry = rnn(lstm_cell, p["lstm"], x[..., 0, :], carry=carry)
    return jax.nn.sigmoid(conv(p["out"], jax.nn.relu(y)))[..., 0], carry


def chunked(audio):
    """Audio (..., n) -> (..., t, CONTEXT + CHUNK): each chunk behind the end of the one before it."""
    n = audio.shape[-1] // CHUNK * CHUNK
    padded = np.pad(audio[..., :n], [(0, 0)] * (audio.ndim - 1) + [(CONTEXT, 0)])
    return np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + CHUNK, -1)[..., ::CHUNK, :].copy()


@torch.no_grad()
def torchs(weights, chunks):
    """Chunks (b, t, CONTEXT + CHUNK) -> (b, t)."""
    w = {name: torch.tensor(array) for name, array in weights.items()}
    x = F.pad(torch.tensor(chunks).flatten(0, 1)[:, None], (0, CONTEXT), "reflect")
    spectrum = F.conv1d(x, w["stft_conv.weight"], stride=HOP)
    x = torch.sqrt(spectrum[:, :BINS] ** 2 + spectrum[:, BINS:] ** 2)
    for name, stride in STRIDES.items():
        x = torch.relu(F.conv1d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=stride, padding=1))
    layer = torch.nn.LSTM(D, D, batch_first=True)
    h, _ = run_torch(layer, x.reshape(*chunks.shape[:2], D), [w[f"lstm_cell.{part}"] for part in GATES])
    return torch.sigmoid(F.conv1d(torch.relu(h).mT, w["final_conv.weight"], w["final_conv.bias"]))[:, 0].numpy()


def synthetic(seconds=1.0):
    """Three recordings (3, n): silence, noise, and a voice's harmonics under an envelope."""
    t = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).normal(scale=0.01, size=t.shape)
    voice = sum(np.sin(2 * math.pi * 120 * k * t) / k for k in range(1, 20)) * np.sin(2 * math.pi * 4 * t) ** 2
    return np.stack([0 * t, noise, 0.1 * voice]).astype(np.float32)


def spoken(pause=0.5):
    """Digits with pauses around them (n,), and of each sample: 1 within a digit, -1 well after one, 0 between."""
    folder = data_root() / "free_spoken_digits" / "recordings"
    if not folder.is_dir():
        pytest.skip(f"free_spoken_digits/recordings is not in {data_root()}: fetch it, or set JNN_DATA")
    half = np.zeros(int(pause * RATE / 2), np.float32)
    audio, labels = [half, half], [half - 1, half - 1]
    for digit, speaker in enumerate(["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]):
        samples, rate = read_wav(folder / f"{digit}_{speaker}_0.wav")
        word = scipy.signal.resample_poly(samples[:, 0], RATE // rate, 1).astype(np.float32)
        word /= 2 * np.abs(word).max()
        loud = np.flatnonzero(np.abs(word) > 0.1)
        at = np.arange(len(word))
        audio += [word, half, half]
        labels += [(loud[0] < at) & (at < loud[-1]), half, half - 1]
    return np.concatenate(audio), np.concatenate(labels)


def found(name):
    path = data_root() / HOME / name
    if not path.is_file():
        pytest.skip(f"{HOME}/{name} is not in {data_root()}: fetch it, or set JNN_DATA")
    return path


def as_params(weights):
    spec = vad_spec()
    cell = jnn.load(spec.pop("lstm"), from_torch("lstm", *(weights[f"lstm_cell.{part}"] for part in GATES)))
    return load_state_dict(spec, weights, NAMES, ignore=["lstm_cell.*"]) | {"lstm": cell}


@pytest.fixture(scope="module")
def weights():
    return read_safetensors(found("silero_vad_16k.safetensors"))


@pytest.fixture(scope="module")
def params(weights):
    return as_params(weights)


@pytest.fixture(scope="module")
def detect():
    return jax.jit(vad)


def test_gives_torchs_probabilities(weights, params, detect):
    chunks = chunked(synthetic())
    ours, _ = detect(params, chunks)
    np.testing.assert_allclose(ours, torchs(weights, chunks), atol=1e-5)


def test_chunk_by_chunk_is_all_at_once(params, detect):
    chunks = chunked(synthetic())
    whole, _ = detect(params, chunks)
    half = chunks.shape[1] // 2
    first, carry = detect(params, chunks[:, :half])
    second, _ = detect(params, chunks[:, half:], carry)
    np.testing.assert_allclose(jnp.concatenate([first, second], -1), whole, atol=1e-6)


def test_silence_and_noise_are_not_speech(params, detect):
    probabilities, _ = detect(params, chunked(synthetic()))
    assert probabilities[:2].max() < 0.5


def test_speech_is_told_from_silence(params, detect):
    audio, labels = spoken()
    probabilities, _ = detect(params, chunked(audio)[None])
    parts = labels[: probabilities.size * CHUNK].reshape(-1, CHUNK)
    speech, silence = (probabilities[0][(parts == label).all(-1)] for label in (1, -1))
    assert min(len(speech), len(silence)) > 20
    assert (speech > 0.5).mean() > 0.9
    assert (silence < 0.5).mean() > 0.9


@pytest.mark.slow
def test_gives_the_probabilities_of_the_onnx_file_with_its_weights(weights, detect):
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    path = found("silero_vad_16k_op15.onnx")
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
    params = as_params(dict(zip(weights, arrays, strict=True)))  # both files name them in the order of the layers
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for chunks in (chunked(synthetic()), chunked(spoken()[0])[None]):
        ours, (h, c) = detect(params, chunks)
        state, theirs = np.zeros((2, len(chunks), D), np.float32), []
        for chunk in chunks.swapaxes(0, 1):
            y, state = session.run(None, {"input": chunk, "state": state, "sr": np.array(RATE)})
            theirs.append(y[:, 0])
        np.testing.assert_allclose(ours.T, theirs, atol=1e-4)
        np.testing.assert_allclose(jnp.stack([h, c]), state, atol=1e-3)
