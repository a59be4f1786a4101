"""Omniglot for learning from one drawing: eight alphabets at 28x28, and the published runs as episodes.

drawings(data_dir)              x (n, 28, 28), ink 1 on paper 0; y, the character; and the alphabets' names
of_alphabets(arrays, chosen)    x and y of some of them
turned(arrays)                  each character by quarter turns, as four
runs(data_dir)                  20 episodes of 20 ways, one drawing each to learn from and to classify
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments import pictures
from experiments.datasets import together
from jnn import data

SIZE = 28
SHOWN = 12  # drawings of a run, those first that were taken for others
PARTS = {"small1": "background_small1", "small2": "background_small2"}
Arrays = dict[str, np.ndarray]


def drawings(data_dir: str | None = None) -> tuple[Arrays, dict[str, list[int]]]:
    """The alphabets of both minimal sets, each once: {"x", "y", "alphabet"}; and the numbers of each set's."""
    parts = {name: data.omniglot(data_dir, part) for name, part in PARTS.items()}
    names = sorted({alphabet for _, alphabets in parts.values() for alphabet in alphabets})
    chosen: list[Arrays] = []
    for alphabet in names:
        arrays, own = next(part for part in parts.values() if alphabet in part[1])
        rows = arrays["alphabet"] == own.index(alphabet)
        y = arrays["y"][rows] - arrays["y"][rows].min() + sum(len(np.unique(part["y"])) for part in chosen)
        chosen.append({"x": shrunk(arrays["x"][rows]), "y": y, "alphabet": np.full(len(y), len(chosen), np.int32)})
    sets = {name: [names.index(alphabet) for alphabet in alphabets] for name, (_, alphabets) in parts.items()}
    return together(chosen), sets


def shrunk(x: np.ndarray) -> np.ndarray:
    """Drawings (n, y, x) uint8, ink 0, to (n, 28, 28) float32, ink 1: the mean of the area beneath each pixel."""
    weights = [np.eye(n).repeat(SIZE, 0).reshape(SIZE, n, n).mean(1).astype(np.float32) for n in x.shape[1:]]
    return np.einsum("iy,nyx,jx->nij", weights[0], 1 - x.astype(np.float32) / 255, weights[1], optimize=True)


def of_alphabets(arrays: Arrays, chosen: Collection[int]) -> Arrays:
    """x and y of these alphabets."""
    rows = np.isin(arrays["alphabet"], list(chosen))
    return {name: arrays[name][rows] for name in ("x", "y")}


def turned(arrays: Arrays) -> Arrays:
    """Characters turned by 0, 1, 2 and 3 quarters, each turn of one a character of its own."""
    classes = arrays["y"].max() + 1
    return {
        "x": np.concatenate([np.rot90(arrays["x"], k, axes=(1, 2)) for k in range(4)]),
        "y": np.concatenate([arrays["y"] + k * classes for k in range(4)]),
    }


def runs(data_dir: str | None = None) -> Arrays:
    """The published runs as episodes: support and query (20, 20, 1, 28, 28), in the order of the classes."""
    found = data.omniglot_runs(data_dir)
    order = np.argsort(found["y"], axis=1)[..., None, None]  # each class has one drawing to classify
    ordered = {"support": found["support"], "query": np.take_along_axis(found["query"], order, 1)}
    return {name: np.stack([shrunk(run) for run in x])[:, :, None] for name, x in ordered.items()}


def answered(logits: Callable[[np.ndarray, np.ndarray], np.ndarray], support: np.ndarray, query: np.ndarray) -> Figure:
    """A column for each drawing that was asked of (ways, 1, y, x): it, the support that was found, and its own."""
    found = np.asarray(jax.jit(logits)(support, query[:, 0])).argmax(-1)
    order = np.argsort(found == np.arange(len(query)), kind="stable")[:SHOWN]
    right = found[order] == order
    own = np.where(right[:, None, None], 0, support[order, 0])
    titles = ["asked"] * len(order) + np.where(right, "right", "wrong").tolist() + np.where(right, "", "was").tolist()
    return pictures.examples(np.concatenate([query[order, 0], support[found[order], 0], own]), titles, len(order))


def neighbours(embed: Callable[[np.ndarray], np.ndarray], arrays: Arrays) -> Figure:
    """A few drawings, each with those whose embeddings are nearest to its."""
    return pictures.nearest(np.asarray(jax.jit(embed)(arrays["x"])), arrays["x"], arrays["y"], columns=9)
