"""Classes in a tree: a cross-entropy that is a product of yes/no answers.

huffman_paths(counts)                                           a tree where frequent classes have short paths
hierarchical_softmax(x, table, labels, nodes=..., codes=...)    a softmax over it, at the cost of one path
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.precision import take, wide


def huffman_paths(counts: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Huffman tree: the binary tree of classes whose mean path is the shortest; on the host.

    See "A Method for the Construction of Minimum-Redundancy Codes", Huffman, 1952.

    Args:
      counts: (classes,): how frequent each class is; two or more.

    Returns:
      nodes: (classes, depth), int32: the inner nodes from the root to each class, then -1; there are classes - 1.
      codes: (classes, depth), int32: which way the path goes at each of them, 0 or 1.

    Raises:
      ValueError: fewer than two classes.

    >>> huffman_paths([5, 1, 1])
    (array([[ 1, -1], [ 1,  0], [ 1,  0]], dtype=int32), array([[1, 0], [0, 0], [0, 1]], dtype=int32))
    """
    classes = len(counts)
    if classes < 2:
        raise ValueError(f"huffman_paths: expected counts of two classes or more, found {classes}.")
    parents: dict[int, tuple[int, int]] = {}
    heap = [(float(count), i) for i, count in enumerate(counts)]
    heapq.heapify(heap)
    for node in range(classes - 1):
        (a, left), (b, right) = heapq.heappop(heap), heapq.heappop(heap)
        parents[left], parents[right] = (node, 0), (node, 1)
        heapq.heappush(heap, (a + b, classes + node))
    paths = [_to_root(leaf, parents, classes)[::-1] for leaf in range(classes)]
    nodes, codes = np.full((2, classes, max(map(len, paths))), -1, np.int32)
    for leaf, path in enumerate(paths):
        nodes[leaf, : len(path)], codes[leaf, : len(path)] = zip(*path, strict=True)
    return nodes, np.maximum(codes, 0)


def hierarchical_softmax(
    x: jax.Array, table: jax.Array, labels: jax.Array, *, nodes: jax.Array | np.ndarray, codes: jax.Array | np.ndarray
) -> jax.Array:
    """Hierarchical softmax: minus the log-probability of the turns on the path to each label's leaf.

    See "Hierarchical Probabilistic Neural Network Language Model", Morin and Bengio, 2005. An example costs as much as
    its path is long, however many classes there are; their probabilities add up to 1.

    Args:
      x: (..., features), floating point.
      table: (inner nodes, features): the parameter that says which way to turn.
      labels: (...), integers in 0..classes-1.
      nodes: (classes, depth), integers: the path to each class, filled up with -1.
      codes: (classes, depth): which way the path goes at each node, 0 or 1, as of `huffman_paths`.

    Returns:
      (...): one number per label.

    Raises:
      TypeError: x or table are not floating point, or labels not integers.
      ValueError: shapes do not fit, or labels or nodes known to be out of range.

    >>> nodes, codes = huffman_paths([1, 1, 1, 1])
    >>> hierarchical_softmax(jnp.ones((1, 2)), jnp.zeros((3, 2)), jnp.array([3]), nodes=nodes, codes=codes)
    Array([1.3862944], dtype=float32)
    """
    name = "hierarchical_softmax"
    labels = _check_tree(name, x, table, labels, nodes, codes)
    path, turns = jnp.asarray(nodes)[labels], jnp.asarray(codes)[labels]
    logits = jnp.einsum("...nd,...d->...n", wide(take(jnp.asarray(table), jnp.maximum(path, 0))), wide(x))
    log_p = jax.nn.log_sigmoid(jnp.where(turns == 1, logits, -logits))
    known = (labels >= 0) & (labels < len(nodes))
    return jnp.where(known, -jnp.sum(jnp.where(path >= 0, log_p, 0.0), axis=-1), jnp.nan)


def _to_root(node: int, parents: dict[int, tuple[int, int]], classes: int) -> list[tuple[int, int]]:
    path = []
    while node in parents:
        path.append(parents[node])
        node = classes + parents[node][0]
    return path


def _check_tree(name: str, x: jax.Array, table: jax.Array, labels: jax.Array, nodes: Any, codes: Any) -> jax.Array:
    checks.floats(name, x)
    checks.floats(name, table, ndim=2)
    checks.trailing(name, x, table.shape[1:])
    whole = checks.integers(name, labels, name="labels")
    if labels.shape != x.shape[:-1]:
        raise ValueError(
            f"{name}: expected labels {x.shape[:-1]} for x {checks.describe(x)}, found {checks.describe(labels)}."
        )
    checks.same_shape(name, nodes=nodes, codes=codes)
    checks.in_range(name, labels, len(nodes))
    if not isinstance(nodes, jax.core.Tracer):  # in NumPy, as values are known while something else is traced
        checks.in_range(name, np.maximum(nodes, 0), len(table), what="nodes", of="inner nodes")
    return whole
