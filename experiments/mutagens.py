"""Molecules as graphs, and the folds that train, choose and test.

molecules()                  MUTAG, filled up to the largest
folds_of(y)                  ten folds, each with its share of every class
parts(folds, protocol)       what trains, chooses the epoch and tests, where each fold tests
"""

from __future__ import annotations

import numpy as np

from jnn import data
from jnn.graphs import Edges, Graph

FOLDS, KINDS = 10, 7


def molecules(data_dir: str | None = None) -> tuple[Graph, np.ndarray]:
    """All molecules along a leading axis, filled up to the largest, and y (n,)."""
    found = data.mutag(data_dir)
    y, owners = found["y"], found["owners"]
    of_edges = owners[found["edges"][:, 0]]
    first = np.searchsorted(owners, np.arange(len(y)))
    there, nodes = padded(owners, len(y), np.eye(KINDS, dtype=np.float32)[found["nodes"]])
    mask, ends = padded(of_edges, len(y), found["edges"] - first[of_edges, None])
    edges = Edges(ends[..., 0], ends[..., 1], mask)
    return Graph(nodes, edges, None, np.zeros(there.shape, np.int32), there, np.ones((len(y), 1), bool)), y


def padded(owners: np.ndarray, n: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows by their owner, (n, most, ...) with zeros behind, and where they are, (n, most)."""
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(owners, minlength=n)
    there = np.arange(counts.max()) < counts[:, None]
    filled = np.zeros((*there.shape, *rows.shape[1:]), rows.dtype)
    filled[there] = rows[order]
    return there, filled


def folds_of(y: np.ndarray, seed: int = 0) -> np.ndarray:
    """The fold (n,) of each, dealt out class by class."""
    shuffled = np.random.default_rng(seed).permutation(len(y))
    order = shuffled[np.argsort(y[shuffled], kind="stable")]
    folds = np.empty(len(y), int)
    folds[order] = np.arange(len(y)) % FOLDS
    return folds


def parts(folds: np.ndarray, protocol: str) -> np.ndarray:
    """(FOLDS, 3, n), bool: what trains, chooses the epoch and tests where fold i tests."""
    tests = np.arange(FOLDS)[:, None] == folds
    chooses = tests if protocol == "paper" else np.roll(tests, -1, axis=0)
    return np.stack([~(tests | chooses), chooses, tests], 1)
