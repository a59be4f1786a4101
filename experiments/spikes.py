"""Spikes: how pictures and sounds become them, what they cost, and what they look like.

cochlea(waves, frames) -> rates               of the bands of an ear, frame by frame
spoken_digits(frames, data_dir) -> Data
energy(counts, sizes, ...) -> Energy          by the number of spikes, beside a dense network's
rasters(...), anytime(...) -> Figure
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.datasets import Data
from experiments.pictures import ACCENT, INK, WARM
from experiments.recordings import RATE, parted
from jnn import audio

# "Computing's energy problem (and what we can do about it)", Horowitz, 2014: of 32-bit floats at 45 nm, in joules
ADD, MULTIPLY_ADD = 0.9e-12, 4.6e-12
FRAME, HOP, BANDS, SPAN = 256, 100, 40, 50.0  # samples, samples, and decibels below the loudest


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
    return Data(*({"x": np.asarray(cochlea(part["x"], frames)), "y": part["y"]} for part in parted(data_dir)))


class Energy(NamedTuple):
    """Of one example: additions, one at each synapse behind a spike, and joules; and those of a dense net of its shape.

    Attributes:
      additions: how many.
      spiking: joules, of these and of a multiply-add for each membrane and step, which leaks.
      dense: joules, of a multiply-add for each weight and each input that differs.
    """

    additions: np.ndarray
    spiking: np.ndarray
    dense: float


def energy(counts: np.ndarray, sizes: tuple[int, int, int], *, recurrent: bool, frames: int) -> Energy:
    """Energy of one example until each step.

    Args:
      counts: (2, t), spikes so far in the input and in the hidden layer.
      sizes: of input, hidden layer and output.
      recurrent: whether hidden spikes reach the hidden layer, too.
      frames: how many inputs a dense network would be given: one of a picture.
    """
    into, hidden, out = sizes
    fan_out = out + (hidden if recurrent else 0)
    additions = counts[0] * hidden + counts[1] * fan_out
    leaks = np.arange(1, counts.shape[1] + 1) * (hidden + out)
    weights = into * hidden + hidden * fan_out
    return Energy(additions, ADD * additions + MULTIPLY_ADD * leaks, MULTIPLY_ADD * frames * weights)


def rasters(seen: Mapping[str, np.ndarray], membranes: np.ndarray, label: int) -> Figure:
    """Spikes (t, neurons) of layers by name, a stroke each; and the membranes (t, classes) that read them out."""
    figure = Figure(figsize=(4.2 * (len(seen) + 1), 3.8), layout="constrained")
    panels = figure.subplots(1, len(seen) + 1)
    for axes, (name, spikes) in zip(panels, seen.items(), strict=False):
        step, neuron = np.nonzero(spikes)
        axes.plot(step, neuron, "|", color=INK, markersize=2.5, markeredgewidth=0.7)
        axes.set(title=f"{name}: {len(step):,} spikes", ylabel="neuron", ylim=(-1, spikes.shape[1]))
    best = membranes.mean(0).argmax()
    panels[-1].plot(np.delete(membranes, best, 1), color=ACCENT, alpha=0.35)
    panels[-1].plot(membranes[:, best], color=WARM)
    panels[-1].set(title=f"membranes: {best} (orange) is read, {label} is right")
    for axes in panels:
        axes.set(xlabel="step", xlim=(-0.5, len(membranes) - 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def anytime(counts: np.ndarray, joules: np.ndarray, accuracy: np.ndarray, dense: float) -> Figure:
    """Accuracy (t,) of what is read by each step, over the spikes and the joules (t,) so far; dense: a dense net's."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    by_count, by_energy = figure.subplots(1, 2, sharey=True)
    by_count.plot(counts, accuracy, "o-", color=ACCENT, markersize=4)
    by_count.set(xlabel="spikes of an example so far, input and hidden", ylabel="accuracy", xlim=(0, None))
    by_energy.semilogx(1e9 * joules, accuracy, "o-", color=ACCENT, markersize=4, label="spiking, step by step")
    by_energy.axvline(1e9 * dense, color=WARM, linestyle="--", label="a dense network of its shape")
    by_energy.set(xlabel="energy of an example so far (nJ)")
    by_energy.legend(frameon=False, loc="lower right", bbox_to_anchor=(0.97, 0))
    for axes in (by_count, by_energy):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
