"""Sounds as arrays: the short-time Fourier transform, spectrograms, mel filters, decibels and cepstra.

What lives here are pure functions of waveforms (..., t) and of spectrograms (..., frames, bins), which models, losses
and data share. What does not: anything that reads files (`jnn.data`), noise and masks (`jnn.data.augment`), measures of
how alike two signals are (`jnn.metrics`).

Laws: leading axes are free; all is differentiable, silence included; results are in float32 at least, whatever the
samples are in: a power has twice the range of its signal, and a logarithm of it every digit.
"""

from jnn.audio._mel import decibels, mel_filters, mel_spectrogram, mfcc
from jnn.audio._stft import Window, pre_emphasis, spectrogram, stft

__all__ = [
    "Window",
    "decibels",
    "mel_filters",
    "mel_spectrogram",
    "mfcc",
    "pre_emphasis",
    "spectrogram",
    "stft",
]
