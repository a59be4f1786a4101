"""A network that hears: frames of sound to what CTC and a transducer say of them.

    transcriber_spec(width) -> spec
    hear(p, x, samples, key=..., rate=...) -> frames (b, t, d), lengths (b,)     what both read
    ctc_logits(p, frames) -> (b, t, v)
    transducer_logits(p, frames, labels) -> (b, t, u + 1, v)                     of all labels at once, in training
    predict(p, carry, labels), join(p, frames, said)                             label by label

A frame is `HOP` samples of the sound, one of the encoder's `STRIDE` of those. Symbol 0 is the blank.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

import jnn
from experiments.recordings import RATE
from jnn import layers
from jnn.audio import decibels, mel_filters, mel_spectrogram

HOP, STRIDE = 80, 4
FFT, BANDS = 256, 40
SYMBOLS = 11
SAID = 32  # features of a label


def transcriber_spec(width: int) -> jnn.Spec:
    """Declares convolutions, two LSTM layers in both directions, and heads for CTC and for the transducer."""
    both = lambda d_in: layers.bidirectional_spec(layers.lstm_cell_spec(d_in, width))
    return {
        "conv": layers.conv_spec(BANDS, width, (5,)),
        "conv2": layers.conv_spec(width, width, (5,)),
        "lstm": both(width),
        "lstm2": both(2 * width),
        "ctc": layers.linear_spec(2 * width, SYMBOLS),
        "label": layers.embed_spec(SYMBOLS, SAID),
        "predict": layers.lstm_cell_spec(SAID, width),
        "from_frames": layers.linear_spec(2 * width, width),
        "from_labels": layers.linear_spec(width, width, bias=False),
        "join": layers.linear_spec(width, SYMBOLS),
    }


def log_mel(x: jax.Array) -> jax.Array:
    """The loudness of `BANDS` bands, every `HOP` samples: around 0, of a deviation around 1."""
    loud = mel_spectrogram(x, mel_filters(FFT, BANDS, RATE), hop_length=HOP)
    return decibels(loud, floor=1e-3) / 10


def hear(
    p: jnn.Params, x: jax.Array, samples: jax.Array, *, key: jax.Array | None, rate: float
) -> tuple[jax.Array, jax.Array]:
    """Sound (b, samples) to features (b, t, d) of every fourth frame, and how many of those."""
    keys = [None] * 2 if key is None else jax.random.split(key)
    h = jax.nn.relu(layers.conv(p["conv"], log_mel(x), stride=2))
    h = jax.nn.relu(layers.conv(p["conv2"], h, stride=2))
    lengths = samples // (HOP * STRIDE) + 1
    for name, own in zip(("lstm", "lstm2"), keys, strict=True):
        h, _ = layers.bidirectional(layers.lstm_cell, p[name], layers.dropout(h, rate, key=own), lengths=lengths)
    return h, lengths


def ctc_logits(p: jnn.Params, frames: jax.Array) -> jax.Array:
    """Of each frame what it says: (..., t, v)."""
    return layers.linear(p["ctc"], frames)


def transducer_logits(p: jnn.Params, frames: jax.Array, labels: jax.Array) -> jax.Array:
    """Of each frame what it says after none of the labels, after the first, ..., after all: (b, t, u + 1, v)."""
    before = jnp.pad(labels, ((0, 0), (1, 0)))  # a blank begins
    said, _ = layers.rnn(layers.lstm_cell, p["predict"], layers.embed(p["label"], before))
    return join(p, frames[:, :, None], said[:, None])


def predict(p: jnn.Params, carry: Any, labels: jax.Array) -> tuple[Any, jax.Array]:
    """The next label (b,) said: the carry, and features of all that has been said."""
    return layers.lstm_cell(p["predict"], carry, layers.embed(p["label"], labels))


def join(p: jnn.Params, frames: jax.Array, said: jax.Array) -> jax.Array:
    """Features of frames and of what has been said to logits."""
    both = layers.linear(p["from_frames"], frames) + layers.linear(p["from_labels"], said)
    return layers.linear(p["join"], jnp.tanh(both))
