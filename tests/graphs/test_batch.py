"""Batches of graphs taken apart again, and filled up to a budget: against Jraph, and the laws; bad input."""

import itertools

import jax
import numpy as np
import pytest

from jnn.graphs import batch_graphs, dynamically_batch_graphs, graph, unbatch_graphs, unpad_graphs
from tests.graphs.test_graph_network import in_jraph, several


def some(seed, n=9):
    rng = np.random.default_rng(seed)
    return several(rng, [(int(rng.integers(1, 6)), int(rng.integers(0, 8))) for _ in range(n)])


def assert_same(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_batched_comes_apart_as_it_was(seed):
    whole = some(seed)
    batch = batch_graphs(whole, nodes=50, edges=70, size=11)
    assert_same(unbatch_graphs(batch), whole)
    nodes, edges = sum(len(g.nodes) for g in whole), sum(len(g.edges.senders) for g in whole)
    assert_same(unpad_graphs(batch), batch_graphs(whole, nodes=nodes, edges=edges, size=9))
    bare = [g._replace(edge_features=None, graph_features=None) for g in whole]
    assert_same(unbatch_graphs(batch_graphs(bare, nodes=50, edges=70, size=11)), bare)


def test_what_a_layer_masks_is_left_out():
    """Of two chains two nodes each, as a layer that pools has them, and the edges between them."""
    chain = lambda *x: graph(np.array(x, np.float32)[:, None], [0, 1, 2], [1, 2, 3])
    batch = batch_graphs([chain(0, 3, 2, 1), chain(5, 4, 9, 1)], nodes=9, edges=7, size=3)
    left = np.isin(batch.nodes[:, 0], [2, 3, 5, 9]) & batch.node_mask
    found = unbatch_graphs(batch._replace(node_mask=left))
    assert [g.nodes[:, 0].tolist() for g in found] == [[3, 2], [5, 9]]
    assert [(g.edges.senders.tolist(), g.edges.receivers.tolist()) for g in found] == [([0], [1]), ([], [])]
    cut = batch._replace(edges=batch.edges._replace(mask=np.arange(7) == 4))
    assert [len(g.edges.senders) for g in unbatch_graphs(cut)] == [0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_batches_of_a_budget_have_one_shape_and_every_graph_once(seed):
    whole = some(seed, 30)
    batches = list(dynamically_batch_graphs(iter(whole), nodes=10, edges=13, size=5))
    assert len({tuple(x.shape for x in jax.tree.leaves(batch)) for batch in batches}) == 1
    parts = [unbatch_graphs(batch) for batch in batches]
    assert_same(list(itertools.chain(*parts)), whole)
    for part, (following, *_) in itertools.pairwise(parts):  # the next one did not fit
        with pytest.raises(ValueError, match="that fit into"):
            batch_graphs([*part, following], nodes=10, edges=13, size=5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_batches_are_jraphs(seed):
    """It keeps one node and one graph of each batch for what fills up."""
    jraph = pytest.importorskip("jraph")
    whole = some(seed, 30)
    theirs = jraph.dynamically_batch((in_jraph(jraph, g) for g in whole), n_node=11, n_edge=13, n_graph=6)
    for batch, other in zip(dynamically_batch_graphs(whole, nodes=10, edges=13, size=5), theirs, strict=True):
        alone, unpadded = jraph.unbatch_np(jraph.unpad_with_graphs(other)), unpad_graphs(batch)
        assert_same([in_jraph(jraph, g) for g in unbatch_graphs(batch)], alone)
        np.testing.assert_array_equal(unpadded.nodes, jraph.unpad_with_graphs(other).nodes)


ONE = graph(np.ones((3, 2)), [0, 1], [1, 2])
FEATURES = graph(np.ones((3, 2)), [0, 1], [1, 2], np.ones((2, 1)), np.ones(2))
PAIR = batch_graphs([ONE, ONE], nodes=7, edges=4, size=2)
ROOM = {"nodes": 9, "edges": 9, "size": 9}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batch_graphs([ONE, graph(np.ones((3, 1)), [0], [1])], **ROOM), r"of one shape .* \[\(1,\), \(2,\)\]"),
        (lambda: batch_graphs([ONE, FEATURES], **ROOM), "edge_features of all graphs or of none, found 1 of 2"),
        (lambda: batch_graphs([PAIR], **ROOM), r"alone and whole, found a batch .* 2. Take it apart first"),
        (lambda: unbatch_graphs(jax.tree.map(lambda x: x[None], PAIR)), r"without leading axes, found owners \(1, 7\)"),
        (lambda: list(dynamically_batch_graphs([ONE], nodes=2, edges=9, size=9)), "in graph 0. Leave it out"),
        (lambda: next(dynamically_batch_graphs([ONE], nodes=9, edges=9, size=0)), "size of 1 or more, found 0"),
        (lambda: list(dynamically_batch_graphs([PAIR], **ROOM)), "unbatch_graphs"),
        (lambda: unpad_graphs(PAIR._replace(graph_mask=np.zeros(2, bool))), "expected one graph or more"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batch_graphs([{"nodes": 3}], **ROOM), "^batch_graphs: expected graphs, .* found a dict"),
        (lambda: batch_graphs(ONE, **ROOM), "^batch_graphs: .* in a sequence of them; found a Graph, alone"),
        (lambda: list(dynamically_batch_graphs([ONE, 3], **ROOM)), "^dynamically_batch_graphs: .* found a int"),
        (lambda: unbatch_graphs(ONE.edges), "^unbatch_graphs: .* found a Edges"),
    ],
)
def test_what_is_no_graph_is_one_clear_error(call, message):
    with pytest.raises(TypeError, match=message):
        call()
