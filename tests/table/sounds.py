"""What is heard: spectra of frames, and their cepstra."""

from __future__ import annotations

import jax

from jnn import audio
from jnn.laws import Block
from tests.table.rows import floats

FILTERS = audio.mel_filters(8, 3, 8000.0)


def cepstra(p: dict, x: jax.Array, key: None) -> jax.Array:
    """Of a signal with its high frequencies lifted; float32 whatever x is, and law 7 is about the answer."""
    mel = audio.mel_spectrogram(audio.pre_emphasis(x, 0.5), FILTERS, hop_length=3, power=1)
    return audio.mfcc(audio.decibels(mel, span=30.0), 2).astype(x.dtype)


BLOCKS = [Block("mfcc", {}, cepstra, floats(13))]
