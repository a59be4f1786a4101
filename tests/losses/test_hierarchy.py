"""Hierarchical softmax against walks through the tree, torch, and with bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.losses import hierarchical_softmax, huffman_paths
from tests.losses.exact import assert_exact, in_float64
from tests.oracle import configurations


def cheapest(counts):
    """The least weighted path length of all binary trees, by trying every split of every set of classes."""

    @functools.cache
    def of(classes):
        if len(classes) == 1:
            return 0
        first, *rest = classes
        splits = [[first, *(c for i, c in enumerate(rest) if bits >> i & 1)] for bits in range(2 ** len(rest) - 1)]
        return sum(counts[c] for c in classes) + min(
            of(tuple(one)) + of(tuple(c for c in classes if c not in one)) for one in splits
        )

    return of(tuple(range(len(counts))))


@pytest.mark.parametrize("counts", [[1, 1], [5, 1, 1], [1, 1, 1, 1], [3, 1, 4, 1, 5], [10, 1, 1, 7, 2, 2]])
def test_huffman_paths_are_the_shortest_there_are(counts):
    nodes, codes = huffman_paths(counts)
    assert ((nodes >= 0).sum(1) * counts).sum() == cheapest(counts)
    assert set(np.unique(nodes)) - {-1} == set(range(len(counts) - 1))
    paths = {tuple((n, c) for n, c in zip(*row, strict=True) if n >= 0) for row in zip(nodes, codes, strict=True)}
    assert len(paths) == len(counts)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_hierarchical_softmax_matches_a_walk_and_adds_up_to_one(rng):
    classes, features = int(rng.integers(2, 8)), int(rng.integers(1, 4))
    nodes, codes = huffman_paths(rng.uniform(size=classes))
    x, table, labels = (
        rng.normal(size=(3, features)),
        rng.normal(size=(classes - 1, features)),
        rng.integers(0, classes, 3),
    )

    def theirs(x, table, y):
        chances = []
        for row, label in zip(x, y, strict=True):
            steps = [(n, c) for n, c in zip(nodes[label], codes[label], strict=True) if n >= 0]
            right = [(table[int(n)] @ row).sigmoid() for n, _ in steps]
            chances.append(torch.stack([p if c else 1 - p for p, (_, c) in zip(right, steps, strict=True)]).prod())
        return -torch.stack(chances).log()

    loss = functools.partial(hierarchical_softmax, nodes=nodes, codes=codes)
    assert_exact(loss, theirs, x, table, labels)
    of_all = in_float64(
        lambda x, t: loss(jnp.broadcast_to(x[0], (classes, features)), t, jnp.arange(classes)), x, table
    )
    np.testing.assert_allclose(np.exp(-of_all).sum(), 1, rtol=1e-12)


NODES, CODES = huffman_paths([1, 1, 1])
X, TABLE, Y = jnp.zeros((2, 3)), jnp.zeros((2, 3)), jnp.array([0, 2])


def test_a_label_out_of_range_raises_or_gives_nan_for_that_example():
    loss = functools.partial(hierarchical_softmax, X, TABLE, nodes=NODES, codes=CODES)
    for wrong in (-1, 3):
        with pytest.raises(ValueError, match=r"expected labels in 0\.\.2 \(3 classes\)"):
            loss(jnp.array([0, wrong]))
        assert jnp.isnan(jax.jit(loss)(jnp.array([0, wrong]))).tolist() == [False, True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: huffman_paths([1]), "two classes or more, found 1"),
        (lambda: hierarchical_softmax(X[:, :2], TABLE, Y, nodes=NODES, codes=CODES), r"expect input \[\.\.\.,3\]"),
        (lambda: hierarchical_softmax(X, TABLE, Y[:1], nodes=NODES, codes=CODES), r"expected labels \(2,\)"),
        (lambda: hierarchical_softmax(X, TABLE, Y, nodes=NODES, codes=CODES[:2]), "expected equal shapes, found nodes"),
        (lambda: hierarchical_softmax(X, TABLE[:1], Y, nodes=NODES, codes=CODES), r"expected nodes in 0\.\.0"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
