"""Strings of digits, as recordings of single ones joined with pauses and white noise; and a language to draw them from.

    KINDS                                                   of strings: how likely each digit is after the two before it
    draw(rng, n, chances) -> labels, lengths                strings
    text(n) -> labels, lengths                              the same of the made-up language, of one seed
    joined(rng, part, labels, lengths, decibels) -> batch   sound
    in_noise(part, n) -> batch                              random strings in all noise there is in training
    at_levels(part, kind, n, seed) -> level -> batch        the same strings with little noise, with more and with most
    Strings(part, batch_size, seed)[step]                   new strings, of no language, at every step

Labels are 1 to 10 for the digits 0 to 9, and 0 behind the end. All digits of a string are one speaker's.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from experiments.recordings import RATE

SAMPLES = 5 * RATE  # of each string, the silence behind it included
LEAST, MOST = 3, 7  # digits
PAUSE = 0.2  # seconds, the longest before, between and behind digits
NOISE = (-5.0, 20.0)  # decibels by which speech is louder than the noise, in training
LEVELS = (20, 5, -5)  # decibels, in the test

Arrays = dict[str, np.ndarray]

# chances (11, 11, 10) of each digit after any two labels: in a made-up language few are likely
KINDS = {
    "language": np.random.default_rng(0).dirichlet(np.full(10, 0.1), (11, 11)),
    "random": np.full((11, 11, 10), 0.1),
}


def draw(rng: np.random.Generator, n: int, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strings of `LEAST` to `MOST` digits, all lengths as likely: labels (n, MOST) and lengths (n,)."""
    y = np.zeros((n, 2 + MOST), np.int32)  # the two before the first are 0
    for place in range(2, 2 + MOST):
        below = chances[y[:, place - 2], y[:, place - 1]].cumsum(-1)[:, :-1]
        y[:, place] = 1 + (rng.random((n, 1)) > below).sum(-1)
    lengths = rng.integers(LEAST, MOST + 1, n).astype(np.int32)
    return np.where(np.arange(MOST) < lengths[:, None], y[:, 2:], 0), lengths


def joined(
    rng: np.random.Generator, part: Arrays, labels: np.ndarray, lengths: np.ndarray, decibels: np.ndarray
) -> Arrays:
    """Strings as sound: x (n, SAMPLES) and how many of them, y and how many of those, and their spans (n, MOST, 2).

    Each recording has a mean square of 1, the noise so many decibels less. Past the end of a string there is none.
    """
    x, spans = np.zeros((len(labels), SAMPLES), np.float32), np.zeros((*labels.shape, 2), np.int32)
    samples = np.zeros(len(labels), np.int32)
    for row, (own, count) in enumerate(zip(labels, lengths, strict=True)):
        waves, pauses = _spoken(rng, part, own[:count])
        at = 0
        for place, (wave, pause) in enumerate(zip(waves, pauses, strict=False)):
            begin, at = at + pause, at + pause + len(wave)
            x[row, begin:at] = wave
            spans[row, place] = begin, at
        samples[row] = at = at + pauses[-1]
        x[row, :at] += rng.standard_normal(at, np.float32) * 10 ** (-decibels[row] / 20)
    return {"x": x, "samples": samples, "y": labels, "digits": lengths, "spans": spans}


def _spoken(rng: np.random.Generator, part: Arrays, labels: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Recordings of these labels by one speaker, and the pauses around them, as short as it takes for all to fit."""
    speaker = rng.integers(part["speaker"].max() + 1)
    while True:
        rows = [rng.choice(np.flatnonzero((part["y"] == y - 1) & (part["speaker"] == speaker))) for y in labels]
        free = SAMPLES - part["length"][rows].sum()
        if free >= 0:
            break
    waves = [part["x"][row, : part["length"][row]] for row in rows]
    pauses = rng.random(len(rows) + 1)
    pauses *= min(PAUSE * RATE, free / pauses.sum())
    return [wave / np.sqrt(np.mean(wave**2)) for wave in waves], pauses.astype(int)


def text(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Strings of the language that nobody says."""
    return draw(np.random.default_rng(1), n, KINDS["language"])


def in_noise(part: Arrays, n: int) -> Arrays:
    """Random strings in random noise, the same ones at every call."""
    rng = np.random.default_rng(2)
    return joined(rng, part, *draw(rng, n, KINDS["random"]), rng.uniform(*NOISE, n))


def at_levels(part: Arrays, kind: str, n: int, seed: int) -> dict[int, Arrays]:
    """The same strings, said by the same recordings, at each of `LEVELS`."""

    def at(level: int) -> Arrays:
        rng = np.random.default_rng(seed)
        return joined(rng, part, *draw(rng, n, KINDS[kind]), np.full(n, level))

    return {level: at(level) for level in LEVELS}


@dataclasses.dataclass(frozen=True)
class Strings:
    """Batches of strings that no language has a hand in, each step its own; a pure function of seed and step."""

    part: Arrays
    batch_size: int
    seed: int

    def __getitem__(self, step: int) -> Arrays:
        rng = np.random.default_rng((self.seed, step))
        decibels = rng.uniform(*NOISE, self.batch_size)
        batch = joined(rng, self.part, *draw(rng, self.batch_size, KINDS["random"]), decibels)
        return batch | {"weight": np.ones(self.batch_size, np.float32)}


def spelled(labels: np.ndarray, lengths: np.ndarray) -> list[str]:
    """The digits of each row, with spaces between: each is a word."""
    return [" ".join(str(label - 1) for label in row[:count]) for row, count in zip(labels, lengths, strict=True)]
