"""Neighbours and walks against the graph they are drawn from, and against the exact chances of their draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.graphs import Edges, gat, gat_spec, has_edge, neighbors, random_walks, sample_edges


def drawn_graph(rng):
    """Edges of one direction or both, none twice, the last node without any."""
    n = int(rng.integers(3, 9))
    adjacent = rng.random((n, n)) < 0.4
    adjacent[0, 1] = True
    adjacent[:, -1] = adjacent[-1] = False
    return n, adjacent, Edges(*(ends.astype(np.int32) for ends in np.nonzero(adjacent)))


@pytest.fixture(params=range(3))
def one(request):
    return drawn_graph(np.random.default_rng(request.param))


def test_neighbours_are_those_that_tell_a_node(one):
    n, adjacent, edges = one
    order = np.random.default_rng(0).permutation(len(edges.senders))
    mask = np.concatenate([np.ones(len(order), bool), [False]])
    shuffled = Edges(*(np.append(ends[order], 0) for ends in edges[:2]), mask)
    near = neighbors(shuffled, n)
    for i in range(n):
        np.testing.assert_array_equal(near.nodes[near.starts[i] : near.starts[i + 1]], np.flatnonzero(adjacent[:, i]))


def test_an_edge_is_known_by_its_ends(one):
    n, adjacent, edges = one
    senders, receivers = np.indices((n, n))
    found = jax.jit(has_edge)(neighbors(edges, n), senders, receivers)
    np.testing.assert_array_equal(found, adjacent)


def test_sampled_edges_are_drawn_evenly_from_those_there_are(one):
    n, adjacent, edges = one
    sampled = sample_edges(neighbors(edges, n), 4000, key=jax.random.key(0))
    counts = np.zeros((n, n))
    np.add.at(counts, (np.asarray(sampled.senders), np.asarray(sampled.receivers)), np.asarray(sampled.mask))
    expected = adjacent / np.maximum(adjacent.sum(0), 1)
    np.testing.assert_allclose(counts / 4000, expected, atol=0.04)


@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (4.0, 0.5)])
def test_a_walk_goes_as_node2vec_has_it(p, q):
    """On a graph of both directions: the chances of a third node, given the two before it."""
    n = 5
    pairs = np.array([(0, 1), (0, 2), (1, 2), (1, 3), (3, 4)])
    adjacent = np.zeros((n, n), bool)
    adjacent[pairs[:, 0], pairs[:, 1]] = adjacent[pairs[:, 1], pairs[:, 0]] = True
    near = neighbors(Edges(*np.nonzero(adjacent)), n)
    starts = jnp.zeros(20_000, jnp.int32)
    walks = np.asarray(jax.jit(lambda key: random_walks(near, starts, 2, key=key, p=p, q=q))(jax.random.key(1)))
    chosen = walks[walks[:, 1] == 1]
    assert abs(len(chosen) / len(walks) - 1 / 2) < 0.02
    weights = np.array([1 / p, 0, 1, 1 / q, 0])  # of 0, where it was; 2, which both know; 3, which is further
    np.testing.assert_allclose(np.bincount(chosen[:, 2], minlength=n) / len(chosen), weights / weights.sum(), atol=0.02)


def test_the_first_step_of_a_walk_is_even():
    """With a self-loop at the start, and of edges in one direction, where p and q would tell them apart."""
    near = neighbors(Edges(np.array([0, 1, 2, 0]), np.array([0, 0, 0, 1])), 3)
    walks = random_walks(near, jnp.zeros(6000, int), 1, key=jax.random.key(0), p=50.0, q=100.0)
    np.testing.assert_allclose(np.bincount(walks[:, 1], minlength=3) / 6000, 1 / 3, atol=0.03)


def test_a_walk_that_never_returns_does_so_at_a_dead_end():
    """To and fro on a line, whose ends are dead ones; the edge at one of them is there twice."""
    line = np.array([(0, 1), (0, 1), (1, 2), (2, 3)])
    near = neighbors(Edges(np.concatenate([line[:, 0], line[:, 1]]), np.concatenate([line[:, 1], line[:, 0]])), 4)
    walks = random_walks(near, jnp.array([0, 3]), 6, key=jax.random.key(0), p=np.inf)
    assert walks.tolist() == [[0, 1, 2, 3, 2, 1, 0], [3, 2, 1, 0, 1, 2, 3]]


def test_a_walk_follows_edges_and_stays_where_there_is_none(one):
    n, adjacent, edges = one
    walks = np.asarray(
        random_walks(neighbors(edges, n), jnp.arange(n).repeat(5).reshape(n, 5), 6, key=jax.random.key(0), q=3.0)
    )
    assert walks.shape == (n, 5, 7)
    at, then = walks[..., :-1], walks[..., 1:]
    assert (adjacent[then, at] | ((at == then) & ~adjacent.any(0)[at])).all()
    assert (walks[-1] == n - 1).all()


def test_what_makes_no_sense_is_one_clear_error():
    near, key = neighbors(Edges(np.array([0]), np.array([1])), 2), jax.random.key(0)
    with pytest.raises(ValueError, match=r"neighbors: expected one edge or more, in 0..1 \(2 nodes\), found no edge"):
        neighbors(Edges(np.zeros(0, int), np.zeros(0, int)), 2)
    with pytest.raises(ValueError, match=r"neighbors: expected .* found 0\.\.2"):
        neighbors(Edges(np.array([0]), np.array([2])), 2)
    with pytest.raises(TypeError, match=r"neighbors: expected senders, integers, found float64\[1\]"):
        neighbors(Edges(np.array([0.9]), np.array([1])), 2)
    with pytest.raises(ValueError, match=r"random_walks: expected p and q above 0, and q finite, found p=0, q=1.0"):
        random_walks(near, jnp.array([0]), 1, key=key, p=0)
    with pytest.raises(ValueError, match=r"random_walks: .* q finite, found p=1.0, q=inf"):
        random_walks(near, jnp.array([0]), 1, key=key, q=np.inf)
    with pytest.raises(ValueError, match=r"sample_edges: .*k"):
        sample_edges(near, 0, key=key)
    with pytest.raises(TypeError, match=r"random_walks: .* found float32"):
        random_walks(near, jnp.array([0.0]), 1, key=key)


def test_gat_drops_weights_and_keeps_their_mean():
    rng = np.random.default_rng(0)
    p = jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), gat_spec(3, 2, 4))
    x, edges = rng.normal(size=(5, 3)).astype(np.float32), Edges(np.array([0, 1, 2, 4]), np.array([1, 2, 1, 1]))
    noisy = jax.jit(jax.vmap(lambda key: gat(p, x, edges, rate=0.5, key=key)))(
        jax.random.split(jax.random.key(0), 4000)
    )
    plain = gat(p, x, edges)
    np.testing.assert_allclose(gat(p, x, edges, rate=0.5, key=None), plain)
    np.testing.assert_allclose(noisy.mean(0), plain, atol=0.2)
    alone = np.asarray(noisy)[:, 0].reshape(-1, 2, 4) - p["b"]  # node 0 hears itself alone: a head's weight is 0 or 2
    expected = np.einsum("d,dhk->hk", x[0], p["w"])
    ratio = alone / expected
    assert set(np.unique(np.round(ratio, 3))) == {0.0, 2.0}
    with pytest.raises(ValueError, match=r"gat: a rate of dropout needs a key, or key=None for no noise"):
        gat(p, x, edges, rate=0.5)
