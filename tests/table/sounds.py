"""What is heard: spectra of frames, their cepstra, and voices."""

from __future__ import annotations

import jax

from jnn import audio, models
from jnn.laws import Block
from tests.table.rows import floats

FILTERS = audio.mel_filters(8, 3, 8000.0)


def cepstra(p: dict, x: jax.Array, key: None) -> jax.Array:
    """Of a signal with its high frequencies lifted; float32 whatever x is, and law 7 is about the answer."""
    mel = audio.mel_spectrogram(audio.pre_emphasis(x, 0.5), FILTERS, hop_length=3, power=1)
    return audio.mfcc(audio.decibels(mel, span=30.0), 2).astype(x.dtype)


BLOCKS = [
    Block("mfcc", {}, cepstra, floats(13)),
    Block(
        "speaker_encoder",
        models.speaker_encoder_spec(3, 4, 5, layers=2),
        lambda p, x, key: models.speaker_encoder(p, x),
        floats(6, 3),
    ),
]
