"""QM9's molecules for message passing: each atom's neighbours by distance, and linear baselines of what is bonded.

    molecules(data_dir, sizes)   -> Parts      training, validation and test, and what takes predictions back
    neighbours(numbers, positions)             the nearest atoms of each, and how far they are
    atoms(part), pairs(part)                   counts for least squares: of elements, of distances by pair of elements
    baselines(parts)                           means and least squares, on what tests
    least_squares(x, y, of) -> predictions     with a trace of ridge

The parts are drawn by a fixed seed from molecules of all sizes, and disjoint. What is fitted is fitted on what trains.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from experiments.datasets import SPLIT_SEED
from jnn import data

ELEMENTS = np.array([1, 6, 7, 8, 9])  # hydrogen, carbon, nitrogen, oxygen, fluorine
HARTREE = 27.211386  # electronvolts
CUTOFF, NEAREST = 5.0, 12  # angstrom; neighbours of an atom at most
BINS = np.arange(0.9, 1.75, 0.1)  # angstrom: lengths of bonds, by which single ones differ from double ones
PROPERTIES = ("gap", "u0")
Arrays = dict[str, np.ndarray]


class Parts(NamedTuple):
    """Rows of training, validation and test, ready for `jnn.data.Batches`, and what their targets were made of.

    Attributes:
      parts: {"x", "senders", "distances", "y"} each: x (n, atoms) is atomic numbers, y (n, 2) what counts of atoms
        leave of the targets, scaled.
      rest: (n, 2) of each part, in eV: what its counts of atoms say, and so what predictions are added to.
      scale: (2,), eV.
      targets: (n, 2) of each part, in eV.
    """

    parts: dict[str, Arrays]
    rest: dict[str, np.ndarray]
    scale: np.ndarray
    targets: dict[str, np.ndarray]

    def in_ev(self, part: str, predictions: np.ndarray) -> np.ndarray:
        """Predictions (n, 2) of a part in the units of its targets."""
        return self.rest[part] + self.scale * predictions


def molecules(data_dir: str | None, sizes: dict[str, int]) -> Parts:
    """So many molecules of each part, "train" among them."""
    found = data.qm9(data_dir)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(found["numbers"]))
    rows = dict(zip(sizes, np.split(order[: sum(sizes.values())], np.cumsum([*sizes.values()])[:-1]), strict=True))
    most = max((found["numbers"][own] > 0).sum(1).max() for own in rows.values())
    parts = {name: _part(found["numbers"][own, :most], found["positions"][own, :most]) for name, own in rows.items()}
    targets = {name: np.stack([found[key][own] for key in PROPERTIES], 1) * HARTREE for name, own in rows.items()}
    of_atoms = {name: atoms(part) for name, part in parts.items()}
    rest = {name: least_squares(of_atoms["train"], targets["train"], x) for name, x in of_atoms.items()}
    scale = (targets["train"] - rest["train"]).std(0)
    for name, part in parts.items():
        part["y"] = ((targets[name] - rest[name]) / scale).astype(np.float32)
    return Parts(parts, rest, scale, targets)


def _part(numbers: np.ndarray, positions: np.ndarray) -> Arrays:
    senders, distances = neighbours(numbers, positions)
    return {"x": numbers.astype(np.int32), "senders": senders, "distances": distances}


def neighbours(numbers: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest atoms of each and their distances, (n, atoms, NEAREST); the cut-off where there are not so many."""
    there = numbers > 0
    pairs = there[:, :, None] & there[:, None] & ~np.eye(numbers.shape[1], dtype=bool)
    distances = np.where(pairs, np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1), np.inf)
    senders = np.argsort(distances, axis=-1, kind="stable")[..., :NEAREST]
    near = np.minimum(np.take_along_axis(distances, senders, -1), CUTOFF)
    return senders.astype(np.int32), near.astype(np.float32)


def atoms(part: Arrays) -> np.ndarray:
    """How many atoms of each element, (n, 5)."""
    return (part["x"][..., None] == ELEMENTS).sum(1).astype(float)


def pairs(part: Arrays) -> np.ndarray:
    """Atoms, and beside them how many pairs of each two elements are how far apart, (n, 5 + 25 * bins)."""
    kinds = (part["x"][..., None] == ELEMENTS).astype(float)
    rows, distances = np.arange(len(kinds))[:, None, None], part["distances"]
    counted = [atoms(part)]
    for low, high in itertools.pairwise(BINS):
        near = (low <= distances) & (distances < high)
        told = (kinds[rows, part["senders"]] * near[..., None]).sum(2)
        counted.append(np.einsum("nai,naj->nij", kinds, told).reshape(len(kinds), -1))
    return np.concatenate(counted, 1)


def least_squares(x: np.ndarray, y: np.ndarray, of: np.ndarray, ridge: float = 1e-6) -> np.ndarray:
    """Ridge regression of y on x with an intercept, at other rows; x need not be of full rank."""
    centre, middle = x.mean(0), y.mean(0)
    centred = x - centre
    weights = np.linalg.solve(centred.T @ centred + ridge * len(x) * np.eye(x.shape[1]), centred.T @ (y - middle))
    return middle + (of - centre) @ weights


def baselines(found: Parts) -> dict[str, np.ndarray]:
    """Predictions (n, 2) of those that test: the training's mean, least squares of atoms, and of pairs, too."""
    trained, test = found.parts["train"], found.parts["test"]
    return {
        "mean_": np.broadcast_to(found.targets["train"].mean(0), found.targets["test"].shape),
        "atoms_": found.rest["test"],
        "pairs_": found.in_ev("test", least_squares(pairs(trained), trained["y"], pairs(test), ridge=1e-3)),
    }
