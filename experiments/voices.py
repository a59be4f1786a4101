"""Voices: what each speaker of the spoken digits says, cut into pieces; and what an ear makes of them.

voices(fold, data_dir, seed) -> Voices      two of six speakers are unheard of until the test
log_mel(x)                                  pieces (..., 12800) to frames (..., 158, 40)
resemblyzer(data_dir) -> embed              of pieces, by the published weights
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.signal import resample_poly

from experiments.chunks import in_chunks
from experiments.datasets import together
from experiments.recordings import RATE, TRAINS
from jnn import data
from jnn.audio import decibels, mel_filters, mel_spectrogram
from jnn.interop.torch import load_state_dict
from jnn.models import speaker_encoder, speaker_encoder_spec
from jnn.optional import optional

PIECE = 12_800  # samples: 1.6 seconds, as Resemblyzer hears them
BANDS = 40
FOLDS = 3  # of two speakers each
SPEEDS = (8, 9, 10, 11, 12)  # tenths: what is played faster is another, higher voice
LEVEL = -30  # decibels: Resemblyzer hears nothing fainter
FRAMES = 160  # of a piece, that it hears
SIDES = {"input": "ih", "recurrent": "hh"}
FORMS = {"w": ("weight", "(g h) i -> i g h"), "b": ("bias", "(g h) -> g h")}
NAMES = {"out/*": "linear.*"} | {
    f"lstm/{i}/{ours}/{leaf}": (f"lstm.{name}_{side}_l{i}", axes)
    for i in range(3)
    for ours, side in SIDES.items()
    for leaf, (name, axes) in FORMS.items()
}

Rows = dict[str, np.ndarray]


class Voices(NamedTuple):
    """Pieces {"x": (n, 12800) float32, "y": (n,) speaker}.

    Attributes:
      train, validation: of the four speakers whom training hears, of other recordings each; in training at five
        speeds, each of which counts as a speaker of its own ("Speaker Augmentation and Bandwidth Extension for Deep
        Speaker Embedding", Yamamoto, Lee, Okabe and Koshinaka, 2019).
      test: of the two others, all that they say.
      enrolled, asked: of all six, of the recordings that train and of those of the data's own test set.
      names, heard: of all six, and of those whom training hears.
    """

    train: Rows
    validation: Rows
    test: Rows
    enrolled: Rows
    asked: Rows
    names: tuple[str, ...]
    heard: tuple[str, ...]


def voices(fold: int, data_dir: str | None = None, seed: int = 0) -> Voices:
    """Pieces of what each speaker says, recordings in an order drawn by the seed; of six the fold names who test."""
    rest, names = data.spoken_digits(data_dir)
    asked, _ = data.spoken_digits(data_dir, "test")
    unheard = [i for i in range(len(names)) if i % FOLDS == fold]
    heard = [i for i in range(len(names)) if i not in unheard]
    trains = rest["index"] >= TRAINS
    cut = lambda part, rows, speakers, speeds=(10,): pieces(part, rows, speakers, seed, speeds)
    everything = [cut(part, part["index"] >= 0, unheard) for part in (rest, asked)]
    return Voices(
        cut(rest, trains, heard, SPEEDS),
        cut(rest, ~trains, heard),
        together(everything),
        cut(rest, trains, range(len(names))),
        cut(asked, asked["index"] >= 0, range(len(names))),
        names,
        tuple(names[i] for i in heard),
    )


def pieces(
    part: Mapping[str, np.ndarray], rows: np.ndarray, speakers: range | list[int], seed: int, speeds: Sequence[int]
) -> Rows:
    """Pieces of the rows' recordings, one after another in a drawn order at each speed; the rest is left out."""
    found: list[np.ndarray] = []
    for speaker, speed in itertools.product(speakers, speeds):
        order = np.random.default_rng((seed, speaker, speed)).permutation(
            np.flatnonzero(rows & (part["speaker"] == speaker))
        )
        wave = resample_poly(np.concatenate([part["x"][i, : part["length"][i]] for i in order]), 10, speed)
        found.append(wave[: len(wave) // PIECE * PIECE].reshape(-1, PIECE))
    counts = [len(own) for own in found]
    return {"x": np.concatenate(found), "y": np.repeat(np.arange(len(counts), dtype=np.int32), counts)}


@jax.jit
def log_mel(x: jax.Array) -> jax.Array:
    """Log-mel spectrogram of pieces, (..., 158, 40): frames of 25 ms, ten ms apart, up to 60 dB below the loudest."""
    filters = mel_filters(RATE // 40, BANDS, RATE)
    powers = mel_spectrogram(x, filters, hop_length=RATE // 100, padding="VALID")
    loud = decibels(powers, span=60.0)
    return (loud - loud.mean((-2, -1), keepdims=True)) / 20


def resemblyzer(data_dir: str | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """Resemblyzer: pieces (n, 12800) to vectors (n, 256), by weights that were trained on thousands of speakers.

    See "Generalized End-to-End Loss for Speaker Verification", Wan et al., 2018. It hears 16,000 samples a second.
    """
    path = data.find(data_dir, "weights/resemblyzer/pretrained.pt", how="put Resemblyzer's there")
    tensors = optional("torch", "test").load(path, weights_only=True, map_location="cpu")["model_state"]
    spec = speaker_encoder_spec(BANDS, recurrent_bias=True)
    params = load_state_dict(spec, tensors, NAMES, ignore=("similarity_*",))
    run = jax.jit(partial(_heard, params))
    return lambda x: in_chunks(lambda batch: run(batch["x"]), {"x": resample_poly(x, 2, 1, axis=-1)}, 50)


def _heard(params: dict, x: jax.Array) -> jax.Array:
    """Vectors of pieces (..., 25600), as loud as it expects them: powers of mel bands, no logarithm."""
    level = 10 * jnp.log10(jnp.maximum(jnp.mean(jnp.square(x), -1, keepdims=True), 1e-12))
    x = x * 10 ** (jnp.maximum(LEVEL - level, 0) / 20)
    filters = mel_filters(RATE // 20, BANDS, 2 * RATE)
    powers = mel_spectrogram(x, filters, hop_length=RATE // 50, padding="zeros")
    return speaker_encoder(params, powers[..., :FRAMES, :])
