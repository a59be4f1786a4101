"""Mel filters against their definition, Keras and torchaudio; cepstra against SciPy; decibels and errors."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import torch

from jnn import audio
from tests.oracle import configurations

X = jnp.sin(jnp.arange(60.0) ** 1.5).reshape(2, 30)
FILTERS = audio.mel_filters(16, 5, 8000.0)


def mel(f, scale):
    """Slaney's scale: 200/3 Hz a mel up to 1000 Hz, then 27 steps for each factor of 6.4."""
    if scale == "htk":
        return 2595 * np.log10(1 + f / 700)
    return 3 * f / 200 if f < 1000 else 15 + 27 * np.log(f / 1000) / np.log(6.4)


def hertz(m, scale):
    """The frequency of a pitch, by bisection."""
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if mel(middle, scale) < m else (low, middle)
    return low


@pytest.mark.parametrize("rng", configurations(fast=range(4)), ids=range(20))
def test_filters_are_as_defined(rng):
    n_fft, n_mels, rate = int(rng.integers(4, 60)), int(rng.integers(1, 12)), float(rng.uniform(4000, 48000))
    low, high, scale = rng.uniform(0, 900), rng.uniform(1000, rate / 2), str(rng.choice(["htk", "slaney"]))
    edges = [hertz(m, scale) for m in np.linspace(mel(low, scale), mel(high, scale), n_mels + 2)]
    expected = np.zeros((n_fft // 2 + 1, n_mels))
    for i in range(n_fft // 2 + 1):
        for j in range(n_mels):
            expected[i, j] = np.interp(i * rate / n_fft, edges[j : j + 3], [0, 1, 0], left=0, right=0)
    heights = {True: 2 / (np.array(edges[2:]) - edges[:-2]), False: 1.0}
    with jax.enable_x64(True):
        for unit_area, height in heights.items():
            options = {"low": low, "high": high, "scale": scale, "unit_area": unit_area, "dtype": jnp.float64}
            got = audio.mel_filters(n_fft, n_mels, rate, **options)
            np.testing.assert_allclose(got, expected * height, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("rng", configurations(fast=range(5)), ids=range(20))
def test_matches_keras(rng):
    """Keras has the triangles 1 high, HTK's scale, and is linear in pitch rather than in frequency."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    n_fft, hop_length, n_mels = 64, int(rng.integers(8, 40)), int(rng.integers(2, 6))
    x = rng.normal(size=(2, 300)).astype(np.float32)
    layer = keras.layers.STFTSpectrogram(
        "magnitude", 48, hop_length, n_fft, window="hann", periodic=True, scaling=None, padding="valid"
    )
    # a window of 48 in the middle of 64: of these frames the first begins 8 samples earlier
    padded = np.pad(x, ((0, 0), (8, 8)))
    ours = audio.spectrogram(padded, n_fft, hop_length=hop_length, win_length=48, padding="VALID", power=1)
    np.testing.assert_allclose(ours, layer(x[..., None]), rtol=1e-3, atol=1e-3)
    mel_layer = keras.layers.MelSpectrogram(n_fft, hop_length, n_fft, "hann", 16000, n_mels, 0.0, mag_exp=2.0)
    theirs = np.asarray(mel_layer(x)).swapaxes(-1, -2)
    filters = keras.ops.convert_to_numpy(
        mel_layer.linear_to_mel_weight_matrix(n_mels, n_fft // 2 + 1, 16000, 0.0, 8000)
    )
    loud = audio.mel_spectrogram(x, jnp.asarray(filters), hop_length=hop_length)
    n = min(loud.shape[1], theirs.shape[1])
    np.testing.assert_allclose(audio.decibels(loud, span=80.0)[:, :n], theirs[:, :n], rtol=1e-3, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_matches_torchaudio(scale):
    try:
        torchaudio = pytest.importorskip("torchaudio")
    except OSError as error:  # of another build than torch
        pytest.skip(str(error))
    x = np.random.default_rng(0).normal(size=(1, 3000)).astype(np.float32)
    for n_mels, norm in ((8, None), (40, "slaney")):
        mel = {"n_fft": 400, "hop_length": 160, "n_mels": n_mels, "norm": norm, "mel_scale": scale}
        theirs = torchaudio.transforms.MFCC(16000, 7, melkwargs=mel)(torch.tensor(x)).swapaxes(-1, -2)
        filters = audio.mel_filters(400, n_mels, 16000, scale=scale, unit_area=norm is not None)
        ours = audio.mfcc(audio.decibels(audio.mel_spectrogram(x, filters, hop_length=160), span=80.0), 7)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_a_mel_spectrogram_is_the_spectrogram_times_its_filters_which_learn():
    def of(x, filters, power):
        mel = audio.mel_spectrogram(x, filters, hop_length=5, power=power)
        return audio.decibels(mel).sum(), (mel, audio.spectrogram(x, 16, hop_length=5, power=power))

    both = jax.jit(lambda *args: [jax.grad(of, (0, 1), has_aux=True)(*args, power) for power in (1, 2)])
    for gradients, (mel, loud) in both(X, FILTERS):
        np.testing.assert_allclose(mel, np.asarray(loud) @ np.asarray(FILTERS), rtol=1e-4)
        assert all(np.isfinite(gradient).all() and np.abs(gradient).max() > 0 for gradient in gradients)


def test_decibels():
    power = jnp.array([[[1.0, 1e-3, 0.0]], [[1e6, 1.0, 1e-30]]])
    everything = lambda p: (audio.decibels(p), audio.decibels(p, span=50.0), audio.decibels(p.astype(jnp.bfloat16)))
    whole, near, narrow = jax.jit(everything)(power)
    np.testing.assert_allclose(whole, [[[0, -30, -100]], [[60, 0, -100]]], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(near, [[[0, -30, -50]], [[60, 10, 10]]], rtol=1e-5, atol=1e-5)
    assert narrow.dtype == np.float32
    assert np.isfinite(jax.jit(jax.grad(lambda p: everything(p)[1].sum()))(power)).all()


def test_cepstra_are_scipys():
    with jax.enable_x64(True):
        x = np.random.default_rng(0).normal(size=(3, 2, 7))
        got = audio.mfcc(jnp.asarray(x), 5)
    np.testing.assert_allclose(got, scipy.fft.dct(x, norm="ortho")[..., :5], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: audio.mel_filters(0, 3, 8e3), ValueError, "mel_filters: expected n_fft of 1 or more, found 0"),
        (lambda: audio.mel_filters(8, 0, 8e3), ValueError, "mel_filters: expected n_mels of 1 or more, found 0"),
        (
            lambda: audio.mel_filters(8, 3, 8e3, high=5e3),
            ValueError,
            "mel_filters: expected 0 <= low < high <= half .*5",
        ),
        (lambda: audio.mel_filters(8, 3, 8e3, scale="bark"), ValueError, "mel_filters: scale is one of htk, slaney, f"),
        (
            lambda: audio.mel_spectrogram(X, FILTERS[0]),
            ValueError,
            r"mel_spectrogram: expected filters \(n_fft // 2 \+",
        ),
        (
            lambda: audio.mel_spectrogram(X, audio.mel_filters(32, 8, 8e3).T),
            ValueError,
            r"mel_spectrogram: expected filters .* found float32\[8,17\].* transpose",
        ),
        (lambda: audio.mel_spectrogram(X, 80), TypeError, "mel_spectrogram: expected an array for filters, found int"),
        (lambda: audio.mel_spectrogram(X, FILTERS, power=0), ValueError, "mel_spectrogram: power is 2 .*, found 0"),
        (lambda: audio.decibels(X, floor=0.0), ValueError, "decibels: expected floor > 0, found 0.0"),
        (lambda: audio.decibels(X, span=-1.0), ValueError, "decibels: expected span > 0, found -1.0"),
        (lambda: audio.decibels(X[0], span=9.0), ValueError, "decibels: expected an array of rank 2 or more, found"),
        (lambda: audio.mfcc(X, 31), ValueError, r"mfcc: expected n_mels of 31 or more, found float32\[2,30\]"),
        (lambda: audio.mfcc(X, 0), ValueError, "mfcc: expected coefficients of 1 or more, found 0"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
