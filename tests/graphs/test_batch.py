"""Batches of graphs taken apart again, and filled up to a budget: against Jraph, and the laws; bad input."""

import jax
import numpy as np
import pytest

from jnn.graphs import batch_graphs, dynamically_batch_graphs, graph, unbatch_graphs, unpad_graphs
from tests.graphs.test_graph_network import in_jraph, several
from tests.oracle import configurations


def some(rng, n=None):
    """Graphs, with features of edges and graphs or without."""
    n = int(rng.integers(1, 12)) if n is None else n
    whole = several(rng, [(int(rng.integers(1, 6)), int(rng.integers(0, 8))) for _ in range(n)])
    lacks = {name: None for name in ("edge_features", "graph_features") if rng.integers(3) == 0}
    return [g._replace(**lacks) for g in whole]


def sizes(whole):
    return {
        "nodes": sum(len(g.nodes) for g in whole),
        "edges": sum(len(g.edges.senders) for g in whole),
        "size": len(whole),
    }


def random_room(rng, needed):
    return {name: n + int(rng.integers(0, 4)) for name, n in needed.items()}


def assert_same(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_what_is_batched_comes_apart_as_it_was(rng):
    whole = some(rng)
    needed = sizes(whole)
    batch = batch_graphs(whole, **random_room(rng, needed))
    assert_same(unbatch_graphs(batch), whole)
    assert_same(unpad_graphs(batch), batch_graphs(whole, **needed))


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_what_is_masked_is_left_out_wherever_it_lies(rng):
    """Node by node: those that stay, in their order, and the edges between them that stay."""
    whole = some(rng)
    batch = batch_graphs(whole, **random_room(rng, sizes(whole)))
    left, told = (mask & (rng.random(mask.shape) < 0.7) for mask in (batch.node_mask, batch.edges.mask))
    found = unbatch_graphs(batch._replace(node_mask=left, edges=batch.edges._replace(mask=told)))
    nodes = edges = 0
    for one, g in zip(found, whole, strict=True):
        stay = np.flatnonzero(left[nodes : nodes + len(g.nodes)]).tolist()
        senders, receivers = g.edges.senders.tolist(), g.edges.receivers.tolist()
        kept = [k for k in range(len(senders)) if told[edges + k] and senders[k] in stay and receivers[k] in stay]
        ends = [[stay.index(end[k]) for k in kept] for end in (senders, receivers)]
        features = None if g.edge_features is None else g.edge_features[kept]
        row = None if g.graph_features is None else g.graph_features[0]
        assert_same(one, graph(g.nodes[stay], *ends, features, row))
        nodes, edges = nodes + len(g.nodes), edges + len(senders)


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


def parts(whole, room):
    """The definition: one graph after another, until the next one does not fit."""
    chosen = []
    for g in whole:
        if any(n > room[name] for name, n in sizes([*chosen, g]).items()):
            yield chosen
            chosen = []
        chosen.append(g)
    yield chosen


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_batches_of_a_budget_are_as_full_as_they_get(rng):
    """All of one shape, and every graph once."""
    whole = some(rng, int(rng.integers(1, 40)))
    room = {"nodes": int(rng.integers(5, 20)), "edges": int(rng.integers(7, 25)), "size": int(rng.integers(1, 8))}
    batches = list(dynamically_batch_graphs(iter(whole), **room))
    assert len({tuple(x.shape for x in jax.tree.leaves(batch)) for batch in batches}) == 1
    assert_same(batches, [batch_graphs(part, **room) for part in parts(whole, room)])
    assert_same([g for batch in batches for g in unbatch_graphs(batch)], whole)


@pytest.mark.slow
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_batches_are_jraphs(rng):
    """It keeps one node and one graph of each batch for what fills up."""
    jraph = pytest.importorskip("jraph")
    whole = some(rng, 30)
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
