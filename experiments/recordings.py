"""Recordings of spoken digits: in parts, and as log-mel spectrograms, the same arrays for jnn and for the peer.

    parted(data_dir) -> training, validation, test      waveforms, no recording in two of them
    heard(data_dir) -> Data, speakers                   each part {"x": (n, FRAMES, BANDS), "length", "y", "speaker"}
    tested(data, left_out) -> part                      what tests a network that has not heard a speaker

Data is the Free Spoken Digit Dataset. Its own test set tests, recordings 0 to 4 of each digit and speaker. Of the rest
recordings 5 to 9 validate; or, of spectrograms, a tenth that is drawn once.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from experiments.datasets import SPLIT_SEED, Data, together
from jnn import audio, data
from jnn.layers import length_mask

RATE = 8000  # samples a second
TRAINS = 10  # the first recording of each digit and speaker that trains
WINDOW, HOP = 256, 160  # samples: 32 ms, every 20 ms
FRAMES, BANDS = 48, 32  # the first 0.96 s: of 3,000 recordings 26 are longer
RANGE = 60.0  # decibels below a recording's loudest; what is fainter is raised to that


def parted(data_dir: str | None = None) -> tuple[dict[str, np.ndarray], ...]:
    """Recordings that train, of each digit by each speaker 40, that validate, 5, and that test, 5."""
    rest, _ = data.spoken_digits(data_dir, "train")
    test, _ = data.spoken_digits(data_dir, "test")
    trains = rest["index"] >= TRAINS
    chosen = lambda rows: {name: array[rows] for name, array in rest.items()}
    return chosen(trains), chosen(~trains), test


def heard(data_dir: str | None = None) -> tuple[Data, tuple[str, ...]]:
    """Spectrograms of 3,000 spoken digits, and the names of the six who speak.

    Returns:
      parts with x (n, FRAMES, BANDS) float32, decibels less the recording's own mean of each band, by the deviation of
      what trains, and zeros behind; the number of frames in `length`, the digit in `y` and who speaks in `speaker`.
    """
    training, speakers = data.spoken_digits(data_dir)
    parts = (
        *data.split(_spectrograms(training), 0.1, seed=SPLIT_SEED),
        _spectrograms(data.spoken_digits(data_dir, "test")[0]),
    )
    real = np.arange(FRAMES) < parts[0]["length"][:, None]
    deviation = parts[0]["x"][real].std(0)
    return Data(*(part | {"x": part["x"] / deviation} for part in parts)), speakers


def numbered(who: str, speakers: tuple[str, ...]) -> int:
    """The number of a speaker; -1 of "nobody"."""
    return -1 if who == "nobody" else speakers.index(who)


def tested(parts: Data, left_out: int) -> dict[str, np.ndarray]:
    """What tests a network that has not heard this speaker: all recordings of theirs; of -1 the test set."""
    if left_out < 0:
        return parts.test
    own = [{name: array[part["speaker"] == left_out] for name, array in part.items()} for part in parts[:3]]
    return together(own)


def _spectrograms(part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    x, length = log_mel(part["x"], part["length"])
    return {"x": np.array(x), "length": np.array(length), "y": part["y"], "speaker": part["speaker"]}


@jax.jit
def log_mel(x: jax.Array, length: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Log-mel spectrograms of waveforms x (n, t), each band less its own mean; and the number of frames of each."""
    filters = audio.mel_filters(WINDOW, BANDS, RATE)
    samples = jnp.pad(x, ((0, 0), (0, max(0, HOP * FRAMES - x.shape[1]))))[:, : HOP * FRAMES]
    loud = audio.mel_spectrogram(samples, filters, hop_length=HOP, padding="zeros")[:, :FRAMES]
    length = jnp.minimum(1 + length // HOP, FRAMES)
    real = jnp.swapaxes(length_mask(length, FRAMES), 1, 2)
    y = jnp.where(real, audio.decibels(jnp.where(real, loud, 0), span=RANGE), 0)
    return jnp.where(real, y - y.sum(1, keepdims=True) / length[:, None, None], 0), length
