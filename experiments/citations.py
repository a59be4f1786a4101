"""Papers that cite each other, as `graphs` and `links` read them: bags of words, citations, classes and the split.

papers(name)                     Cora or Citeseer
on_words(p, words, rate, key)    what a layer's maps make of bags of words, and the layer without them
held_out(papers, seed)           the papers without some of their citations, and pairs to ask for
embedding(points, papers, rows)  points of papers in a plane, coloured by class
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from experiments import pictures
from jnn import data
from jnn.graphs import Edges, Neighbors, neighbors
from jnn.layers import dropout, embedding_bag
from jnn.param import Params

CLASSES = {
    "cora": (
        "theory",
        "reinforcement learning",
        "genetic algorithms",
        "neural networks",
        "probabilistic methods",
        "case-based",
        "rule learning",
    ),
    "citeseer": ("AI", "machine learning", "information retrieval", "databases", "agents", "interaction"),
}


class Bags(NamedTuple):
    """Bags of words of n papers.

    Attributes:
      ids: (n, most), int32: the words that are in each, then 0.
      weights: (n, most): 1 / the number of a paper's words.
      lengths: (n,): how many words there are.
      vocabulary: how many different ones.
    """

    ids: np.ndarray
    weights: np.ndarray
    lengths: np.ndarray
    vocabulary: int


class Papers(NamedTuple):
    """A graph of n papers.

    Attributes:
      words: their bags of words.
      edges, near: citations, each in both directions; and the same as neighbours of each paper.
      y: (n,), int32: classes, -1 where there is none.
      train, validation, test: (rows,), numbers of papers.
      names: of the classes.
    """

    words: Bags
    edges: Edges
    near: Neighbors
    y: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    names: tuple[str, ...]


def papers(name: str, data_dir: str | None = None) -> Papers:
    """Cora or Citeseer with the Planetoid split."""
    found = data.planetoid(data_dir, name)
    edges = Edges(*found["edges"].T)
    parts = (np.flatnonzero(found[f"{part}_mask"]) for part in ("train", "val", "test"))
    return Papers(bags(found["x"]), edges, neighbors(edges, len(found["y"])), found["y"], *parts, CLASSES[name])


def bags(x: np.ndarray) -> Bags:
    """Bags of words from features (n, words) that are not 0 where a word is in a paper."""
    rows, words = np.nonzero(x)
    lengths = np.bincount(rows, minlength=len(x)).astype(np.int32)
    ids = np.zeros((len(x), max(1, lengths.max())), np.int32)
    ids[rows, np.arange(len(rows)) - (np.cumsum(lengths) - lengths)[rows]] = words
    weights = np.broadcast_to(1 / np.maximum(lengths, 1)[:, None], ids.shape).astype(np.float32)
    return Bags(ids, weights, lengths, x.shape[1])


def on_words(p: Params, words: Bags, *, rate: float, key: jax.Array | None) -> tuple[Params, jax.Array]:
    """What a graph layer's linear maps make of bags of words, and the layer with the identity in place of these maps.

    A bag times a map is the sum of a few of the map's rows, one in seventy of Cora's; `layer(*on_words(p, ...), edges)`
    is the layer on bags of which words were dropped by this rate.
    """
    is_map = [w.ndim > 1 and len(w) == words.vocabulary for w in jax.tree.leaves(p)]
    leaves, tree = jax.tree.flatten(p)
    maps = [w.reshape(len(w), -1) for w, own in zip(leaves, is_map, strict=True) if own]
    weights = dropout(jnp.asarray(words.weights), rate, key=key)
    table = {"table": jnp.concatenate(maps, 1)}
    h = embedding_bag(table, jnp.asarray(words.ids), mode="sum", weights=weights, lengths=jnp.asarray(words.lengths))
    eye = iter(jnp.split(jnp.eye(h.shape[-1]), np.cumsum([w.shape[1] for w in maps])[:-1], axis=1))
    rest = [next(eye).reshape(-1, *w.shape[1:]) if own else w for w, own in zip(leaves, is_map, strict=True)]
    return tree.unflatten(rest), h


class Pairs(NamedTuple):
    """Pairs of papers: `cited` (e, 2) and as many `others` (e, 2) that are not."""

    cited: np.ndarray
    others: np.ndarray

    @property
    def both(self) -> np.ndarray:
        """All pairs (2 e, 2)."""
        return np.concatenate(self)

    @property
    def labels(self) -> np.ndarray:
        """Whether each of all is a citation."""
        return np.repeat([1, 0], [len(self.cited), len(self.others)])


def held_out(of: Papers, seed: int) -> tuple[Papers, Pairs, Pairs]:
    """The papers with the citations that train alone; pairs that train, and that test."""
    rng, n = np.random.default_rng(seed), len(of.y)
    pairs = np.stack(of.edges[:2], 1)
    pairs = rng.permutation(pairs[pairs[:, 0] < pairs[:, 1]])
    drawn = np.sort(rng.integers(0, n, (2 * len(pairs), 2)), 1)
    drawn = drawn[(drawn[:, 0] < drawn[:, 1]) & ~np.isin(drawn @ [n, 1], pairs @ [n, 1])]
    others = rng.permutation(np.unique(drawn, axis=0))[: len(pairs)]
    tenth = len(pairs) // 10
    test, _, training = map(Pairs, *(np.split(x, [tenth, tenth + tenth // 2]) for x in (pairs, others)))
    edges = Edges(*np.concatenate([training.cited, training.cited[:, ::-1]]).T)
    return of._replace(edges=edges, near=neighbors(edges, n)), training, test


def embedding(points: np.ndarray, of: Papers, rows: np.ndarray) -> Figure:
    """Directions of the points (n, d) of these papers in a plane, near where they are near, coloured by class.

    See "Visualizing Data using t-SNE", van der Maaten and Hinton, 2008.
    """
    units = points[rows] / np.maximum(np.linalg.norm(points[rows], axis=1, keepdims=True), 1e-6)
    plane = TSNE(init="pca", random_state=0, perplexity=min(30, len(rows) / 3)).fit_transform(units)
    return pictures.plane(plane, of.y[rows], of.names)
