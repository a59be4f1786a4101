"""Frames and their spectra against torch.stft, windows against SciPy's; laws of shifts; errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import torch

from jnn import audio
from tests.oracle import assert_matches_torch, configurations

PADDINGS = {"reflect": {"pad_mode": "reflect"}, "zeros": {"pad_mode": "constant"}, "VALID": {"center": False}}
X = jnp.sin(jnp.arange(40.0) ** 1.5).reshape(2, 20)


@pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))
def test_matches_torch(rng):
    n_fft, padding, power = int(rng.integers(1, 20)), str(rng.choice(list(PADDINGS))), int(rng.integers(0, 3))
    length, hop_length = int(rng.integers(1, n_fft + 1)), int(rng.integers(1, n_fft + 4))
    x = rng.normal(size=(2, int(rng.integers(n_fft + 1, 60)))).astype(np.float32)
    window = rng.uniform(0.1, 1, length).astype(np.float32)
    options = {"hop_length": hop_length, "padding": padding}

    def ours(x, window):
        if power:
            return audio.spectrogram(x, n_fft, window=window, power=power, **options)
        z = audio.stft(x, n_fft, window=window, **options)
        return jnp.stack([z.real, z.imag], -1)

    def theirs(x, window):
        how = {"win_length": length, "window": window, "return_complex": True, **PADDINGS[padding]}
        z = torch.stft(x, n_fft, hop_length, **how).transpose(-1, -2)
        return z.abs() ** power if power else torch.view_as_real(z)

    assert_matches_torch(ours, theirs, [x, window])


def test_windows_are_scipys():
    """The spectrum of a single sample, wherever it stands in its frame, is the window's value there."""
    names = {"hann": "hann", "hamming": "hamming", "blackman": "blackman", "ones": "boxcar"}
    one = lambda name: audio.stft(jnp.eye(8), 8, window=name, win_length=6, padding="VALID")[:, 0, 0].real
    with jax.enable_x64(True):
        got = jax.jit(lambda: jnp.stack([one(name) for name in names]))()
    for values, theirs in zip(got, names.values(), strict=True):
        np.testing.assert_allclose(values, np.pad(scipy.signal.get_window(theirs, 6), 1), atol=1e-15)


def test_a_hop_of_silence_before_it_moves_a_signal_by_a_frame():
    """Hops shorter and longer than a frame, in one program."""
    of = lambda x: [audio.spectrogram(x, 8, hop_length=hop_length, padding="VALID") for hop_length in (3, 11)]
    both = jax.jit(
        lambda x: (of(x), [of(jnp.pad(x, ((0, 0), (hop_length, 0))))[i] for i, hop_length in enumerate((3, 11))])
    )
    for still, moved in zip(*both(X), strict=True):
        np.testing.assert_allclose(moved[:, 1:], still, rtol=1e-4, atol=1e-5)


def test_silence_has_a_finite_gradient_and_narrow_samples_are_transformed_in_float32():
    loss = lambda x: sum(audio.spectrogram(x, 8, power=power).sum() for power in (1, 2))
    narrow = X.astype(jnp.bfloat16)
    both = jax.jit(lambda x: [audio.spectrogram(y, 8) for y in (x, x.astype(jnp.float32))])
    np.testing.assert_array_equal(jax.jit(jax.grad(loss))(jnp.zeros(20)), np.zeros(20))
    np.testing.assert_array_equal(*both(narrow))


def test_pre_emphasis_is_scipys_filter():
    expected = scipy.signal.lfilter([1, -0.9], [1], np.asarray(X, np.float64))
    np.testing.assert_allclose(audio.pre_emphasis(X, 0.9), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: audio.stft(jnp.arange(9), 4), TypeError, r"stft: expected floating-point input, found int32\[9\]"),
        (lambda: audio.stft(X, 0), ValueError, "stft: expected n_fft of 1 or more, found 0"),
        (lambda: audio.stft(X, 4, hop_length=0), ValueError, "stft: expected hop_length of 1 or more, found 0"),
        (
            lambda: audio.stft(X, 4, window="han"),
            ValueError,
            "stft: window is one of hann, .*; found 'han'",
        ),
        (lambda: audio.stft(X, 4, win_length=5), ValueError, "stft: expected a window of 1 to 4 samples, .*=5"),
        (lambda: audio.stft(X, 4, win_length=0), ValueError, "stft: expected a window of 1 to 4 samples, .*=0"),
        (lambda: audio.stft(X, 4, window=jnp.ones(3), win_length=4), ValueError, "stft: .* found float32.3. and win_l"),
        (lambda: audio.stft(X, 4, window=jnp.ones((2, 2))), ValueError, "stft: expected a window of 1 to 4 .*2,2"),
        (lambda: audio.stft(X, 4, window=[1.0] * 4), TypeError, "stft: expected an array for window, found list"),
        (lambda: audio.stft(X, 4, padding="SAME"), ValueError, "stft: padding is 'reflect', 'zeros' or 'VALID', found"),
        (lambda: audio.stft(X, 21, padding="VALID"), ValueError, "stft: a signal of 20 samples is too short for .* 21"),
        (lambda: audio.stft(X, 40), ValueError, "stft: a signal of 20 samples is too short for frames of 40"),
        (lambda: audio.spectrogram(X, 4, power=3), ValueError, r"spectrogram: power is 2 .* or 1 .*, found 3"),
        (lambda: audio.pre_emphasis(X, 1.5), ValueError, r"pre_emphasis: expected coefficient in \[0, 1\], found 1.5"),
        (lambda: audio.pre_emphasis(X[:0]), ValueError, "pre_emphasis: expected at least one example"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
