"""Pictures of speech: alignments over spectrograms, and error rates over noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.pictures import ACCENT, INK, WARM
from experiments.recordings import RATE
from experiments.spoken_strings import Arrays

STYLES = {"ctc": ACCENT, "transducer": WARM}
LINES = {"greedy": ":", "beam": "--", "ngram": "-"}


def alignments(
    part: Arrays, titles: Sequence[str], loud: np.ndarray, places: np.ndarray, likely: np.ndarray, frame: int
) -> Figure:
    """Strings (n), two axes each: a spectrogram with what was said when, and below it how likely each digit is.

    Args:
      titles: a string's.
      loud: (n, t, bands), of all samples of x.
      places: (n, t'), which digit of the string each of the encoder's frames says, -1 for none.
      likely: (n, t', v), the blank first.
      frame: samples of one of the encoder's.
    """
    n = len(loud)
    figure = Figure(figsize=(9, 2.7 * n), layout="constrained")
    rows = figure.subplots(2 * n, 1, height_ratios=[2, 1] * n)
    for i, (above, below) in enumerate(rows.reshape(n, 2)):
        seconds = part["samples"][i] / RATE
        _spectrogram(above, part, i, loud[i])
        time = np.arange(likely.shape[1]) * frame / RATE
        for label in range(1, likely.shape[2]):
            below.plot(time, likely[i, :, label], linewidth=1, color=f"C{(label - 1) % 10}")
        for place in range(part["digits"][i]):
            heard = time[places[i] == place].mean()
            above.axvline(heard, color=WARM, linewidth=1)
            name, how = str(part["y"][i, place] - 1), {"ha": "center", "va": "center", "fontsize": 9}
            above.text(heard, loud.shape[2] - 4, name, color="white", backgroundcolor=WARM, **how)
        above.set_title(titles[i], fontsize=9, loc="left")
        for axes in (above, below):
            axes.set_xlim(0, seconds)
        below.set(ylim=(0, 1.05), yticks=[0, 1], ylabel="probability")
        below.spines[["top", "right"]].set_visible(False)
    rows[-1].set_xlabel("seconds")
    return figure


def _spectrogram(axes: Axes, part: Arrays, row: int, loud: np.ndarray) -> None:
    """One string's, with the spans of its recordings."""
    seconds = part["samples"][row] / RATE
    shown = loud[: round(len(loud) * part["samples"][row] / part["x"].shape[1])]
    axes.imshow(shown.T, origin="lower", aspect="auto", cmap="Greys", extent=(0, seconds, 0, loud.shape[1]))
    for begin, end in part["spans"][row, : part["digits"][row]] / RATE:
        axes.axvspan(begin, end, color=ACCENT, alpha=0.18, linewidth=0)
    axes.set(ylabel="mel band", xticklabels=[])


def by_noise(rates: Mapping[str, Mapping[float, Mapping[str, float]]]) -> Figure:
    """Word error rates by decibels above the noise and method, a panel by kind of string."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
    for axes, (kind, by_level) in zip(panels, rates.items(), strict=True):
        levels = sorted(by_level)
        for method in by_level[levels[0]]:
            network, decoder = method.split("_")
            values = [by_level[level][method] for level in levels]
            style = {"color": STYLES[network], "linestyle": LINES[decoder]}
            axes.plot(levels, values, marker=".", label=method.replace("_", ", "), **style)
        axes.set_title(kind, fontsize=10, color=INK)
        axes.set(xlabel="decibels above the noise", xticks=levels)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set(ylabel="word error rate", ylim=(0, None))
    panels[-1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
