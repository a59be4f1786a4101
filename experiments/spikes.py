"""Spikes: how pictures and sounds become them, what they cost, and what they look like.

cochlea(waves) -> rates                       of the bands of an ear, frame by frame
spoken_digits(data_dir) -> Data
synaptic(counts, shape) -> Energy             by the number of spikes, beside a dense network's
rasters(...), anytime(...) -> Figure
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.datasets import Data
from experiments.pictures import ACCENT, INK, WARM
from jnn import audio, data

# "Computing's energy problem (and what we can do about it)", Horowitz, 2014: of 32-bit floats at 45 nm, in joules
ADD, MULTIPLY_ADD = 0.9e-12, 4.6e-12
RATE, FRAME, HOP, BANDS, SPAN = 8000, 256, 100, 40, 50.0  # Hz, samples, samples, and decibels below the loudest
VALIDATED = 10  # recordings 5 to 9 of each digit and speaker validate


def cochlea(waves: jax.Array, frames: int) -> jax.Array:
    """Firing rates (n, frames, 40) in 0..1 of waves (n, t): of mel bands every 12.5 ms, in proportion to decibels.

    0 is 50 dB below the loudest band of a recording, or fainter.
    """
    waves = jnp.pad(waves, ((0, 0), (0, max(0, frames * HOP - waves.shape[1]))))[:, : frames * HOP]
    filters = audio.mel_filters(FRAME, BANDS, RATE, low=60.0)
    powers = audio.mel_spectrogram(waves, filters, hop_length=HOP)[:, :frames]
    loud = audio.decibels(powers, span=SPAN)
    return 1 + (loud - loud.max((1, 2), keepdims=True)) / SPAN


def spoken_digits(frames: int, data_dir: str | None = None) -> Data:
    """Free Spoken Digit Dataset as rates (n, frames, 40); recordings 5 to 9 of each digit and speaker validate."""
    parts = [data.spoken_digits(data_dir, part)[0] for part in ("train", "test")]
    train, test = ({"x": np.asarray(cochlea(part["x"], frames)), **_labels(part)} for part in parts)
    held = train["index"] < VALIDATED
    of = lambda part, rows: {name: part[name][rows] for name in ("x", "y")}
    return Data(of(train, ~held), of(train, held), of(test, slice(None)))


def _labels(part: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: part[name] for name in ("y", "index")}


class Energy(NamedTuple):
    """Of one example: additions, one at each synapse behind a spike, and joules; and of a dense network of its shape.

    Attributes:
      additions: how many.
      spiking: joules, of these and of a multiply-add for each membrane and step, which leaks.
      dense: joules, of a multiply-add for each weight, once for each frame that differs.
    """

    additions: float
    spiking: float
    dense: float


def energy(
    spikes: tuple[float, float], sizes: tuple[int, int, int], recurrent: bool, steps: int, frames: int
) -> Energy:
    """Energy of one example, from its spikes in the input and the hidden layer.

    Args:
      spikes: how many there are in all steps.
      sizes: of input, hidden layer and output.
      recurrent: whether hidden spikes reach the hidden layer, too.
      steps: of time.
      frames: how many inputs a dense network would be given: one of a picture.
    """
    into, hidden, out = sizes
    fan_out = out + (hidden if recurrent else 0)
    additions = spikes[0] * hidden + spikes[1] * fan_out
    leaks = steps * (hidden + out)
    weights = into * hidden + hidden * fan_out
    return Energy(additions, ADD * additions + MULTIPLY_ADD * leaks, MULTIPLY_ADD * frames * weights)


def rasters(seen: Mapping[str, np.ndarray], membranes: np.ndarray, title: str) -> Figure:
    """Spikes (t, neurons) of layers by name, a dot each; and the membranes (t, classes) that read them out."""
    figure = Figure(figsize=(4.2 * (len(seen) + 1), 3.8), layout="constrained")
    panels = figure.subplots(1, len(seen) + 1)
    for axes, (name, spikes) in zip(panels, seen.items(), strict=False):
        step, neuron = np.nonzero(spikes)
        axes.plot(step, neuron, "|", color=INK, markersize=2.5, markeredgewidth=0.7)
        axes.set(title=f"{name}: {len(step):,} spikes", xlabel="step", ylabel="neuron", ylim=(-1, spikes.shape[1]))
    best = membranes.mean(0).argmax()
    for digit, line in enumerate(membranes.T):
        chosen = digit == best
        panels[-1].plot(line, color=WARM if chosen else ACCENT, alpha=1.0 if chosen else 0.35)
        panels[-1].annotate(f" {digit}", (len(line) - 1, line[-1]), va="center", fontsize=8, color=INK)
    panels[-1].set(title="read-out membranes", xlabel="step")
    for axes in panels:
        axes.set_xlim(-0.5, len(membranes) + 0.5)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=10)
    return figure


def anytime(additions: np.ndarray, accuracy: np.ndarray, dense: float) -> Figure:
    """Accuracy (t,) of what is read by each step over the energy (t,) spent until then, in joules, and a dense network's."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(1e9 * additions, accuracy, "o-", color=ACCENT, markersize=4, label="spiking, step by step")
    axes.axvline(1e9 * dense, color=WARM, linestyle="--", label="dense, of the same shape")
    axes.set(xlabel="energy of an example (nJ)", ylabel="accuracy", ylim=(0, 1.02), xlim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return figure
