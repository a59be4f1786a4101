"""Rosenblatt's perceptron: it learns AND, OR and two digits, and can never learn XOR.

Source    "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain", Rosenblatt,
          1958. That it stops on separable classes: Novikoff, 1962. That XOR is not: Minsky and Papert, 1969.
Data      three truth tables; the ones and eights of scikit-learn's 8x8 digits, a random fifth held out.
Network   inputs-1 with the step activation, from zero weights.
Training  one example at a time, in a fixed order; at each mistake, w += (y - answer) x. A round of a truth table that
          makes mistakes and yet returns to the weights it started from repeats for ever: that is shown for XOR.
Run       python -m experiments.perceptron  (4 s of one CPU core)
Measured  last mistakes in round 5 (AND), 3 (OR) and 15 (digits); digits held out 97.2 %; XOR 4 mistakes in each round.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import jnn
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.pictures import ACCENT, INK, WARM
from jnn.data import digits, split
from jnn.models import perceptron, perceptron_fit, perceptron_spec

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
GATES = {"and": np.array([0, 0, 0, 1]), "or": np.array([0, 1, 1, 1]), "xor": np.array([0, 1, 1, 0])}


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Rosenblatt's rule on AND, OR, XOR and two digits."""

    steps: int = 10_000  # examples shown to each perceptron
    workdir: str = "runs/perceptron"
    classes: tuple[int, int] = (1, 8)  # the digits to answer no and yes to


def learn(x: np.ndarray, y: np.ndarray, steps: int):
    """Shows examples in turn. Returns the params after each of them, (steps, ...), and the mistakes of each round."""

    def show(p, i):
        p, mistakes = perceptron_fit(p, jnp.asarray(x)[i][None], jnp.asarray(y)[i][None], epochs=1)
        return p, (p, mistakes[0])

    zeros = jnn.init(perceptron_spec(x.shape[1]), jax.random.key(0))  # whatever the key
    params, mistakes = jax.device_get(jax.jit(lambda p: jax.lax.scan(show, p, jnp.arange(steps) % len(x)))(zeros)[1])
    return params, np.add.reduceat(mistakes, np.arange(0, steps, len(x)))


def returns(params) -> bool:
    """Whether the last four examples of a truth table left the weights as they were before."""
    return len(params["b"]) > 4 and all(bool((p[-1] == p[-5]).all()) for p in params.values())


def experiment(config: Config) -> Outcome:
    """Learns the truth tables, then the digits."""
    params, metrics, rounds = {}, {}, {}
    for gate, y in GATES.items():
        params[gate], rounds[gate] = learn(CORNERS, y, config.steps)
    metrics["xor_repeats_for_ever"] = returns(params["xor"]) and bool(rounds["xor"][-1] > 0)
    kept, held_out = split(two_digits(config.classes), 0.2, seed=config.seed)
    params["digits"], rounds["digits"] = learn(kept["x"], kept["y"], config.steps)
    for name, mistakes in rounds.items():
        metrics |= {
            f"{name}_mistakes": int(mistakes[-1]),
            f"{name}_last_mistake_round": int(np.flatnonzero([1, *mistakes])[-1]),
        }
    last = jax.tree.map(lambda p: p[-1], params)
    right = np.asarray(perceptron(last["digits"], held_out["x"])) == held_out["y"]
    figures = {
        "Lines between no (open) and yes (filled) over the last round of examples; on the line the answer is no. "
        "The lines of XOR come back in the same order, round after round.": lambda: draw_lines(params),
        "Mistakes in each round, and the weights of the digits' perceptron (blue speaks for yes).": lambda: draw_rounds(
            rounds, last["digits"]["w"].reshape(8, 8)
        ),
    }
    return Outcome(last, metrics | {"digits_accuracy": float(right.mean())}, figures=figures)


def two_digits(classes: tuple[int, int]) -> dict[str, np.ndarray]:
    """x (n, 64), y 0 and 1 for the first and the second class."""
    every = digits()
    chosen = np.isin(every["y"], classes)
    return {"x": every["x"][chosen].reshape(-1, 64), "y": (every["y"][chosen] == classes[1]).astype(np.int32)}


def draw_lines(params) -> Figure:
    """A truth table each, with the line after each of the last four examples."""
    figure = Figure(figsize=(8.4, 3), layout="constrained")
    for i, (gate, y) in enumerate(GATES.items()):
        axes = figure.add_subplot(1, 3, i + 1)
        for w, b in zip(params[gate]["w"][-4:], params[gate]["b"][-4:], strict=True):
            if not w.any():  # before its first mistake it divides nothing
                continue
            foot = -b * w / (w @ w)
            axes.axline(foot, foot + np.array([-w[1], w[0]]), color=ACCENT, linewidth=1.2)
        axes.scatter(*CORNERS.T, s=70, facecolors=[WARM if yes else "white" for yes in y], edgecolors=INK, zorder=2)
        axes.set(title=gate.upper(), xlim=(-0.6, 1.6), ylim=(-0.6, 1.6), aspect="equal", xticks=(0, 1), yticks=(0, 1))
    return figure


def draw_rounds(rounds, weights: np.ndarray) -> Figure:
    """Mistakes by round, and an image of the weights."""
    figure = Figure(figsize=(8.4, 3), layout="constrained")
    panels = figure.subplot_mosaic("mmw")
    for name, mistakes in rounds.items():
        panels["m"].plot(1 + np.arange(len(mistakes))[:30], mistakes[:30], label=name, linewidth=1.6)
    panels["m"].set(xlabel="round", ylabel="mistakes")
    panels["m"].legend(frameon=False)
    bound = np.abs(weights).max()
    panels["w"].imshow(weights, cmap="RdBu", vmin=-bound, vmax=bound)
    panels["w"].axis("off")
    return figure


if __name__ == "__main__":
    launch(experiment, Config)
