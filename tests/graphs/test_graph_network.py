"""Graph networks against their algorithm, row by row, in torch; against Jraph; what fills up; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import graphs
from jnn.graphs import graph_network, segment_max, segment_mean
from tests.oracle import assert_matches_torch, configurations

SIZES = {"edge": (10, 4), "score": (12, 1), "node": (13, 5), "graph": (11, 3)}  # of nodes of 3 features, others of 2


def several(rng, counts=((3, 4), (2, 3), (4, 0))):
    """Graphs of so many nodes and edges, with all features."""
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    ends = lambda n, e: (rng.integers(0, n, e), rng.integers(0, n, e))
    return [graphs.graph(draw(n, 3), *ends(n, e), draw(e, 2), draw(2)) for n, e in counts]


def drawn(rng):
    return {name: rng.normal(size=size, scale=0.5).astype(np.float32) for name, size in SIZES.items()}


def updates(p, attention=True):
    """`tanh` of a linear map of everything there is."""
    of = lambda name: lambda *rows: jnp.tanh(jnp.concatenate(rows, -1) @ p[name])
    score = {"score_edge": of("score")} if attention else {}
    return {"update_edge": of("edge"), "update_node": of("node"), "update_graph": of("graph"), **score}


def by_rows(p, graph):
    """One graph, row by row, in torch: edges are summed, nodes are averaged."""
    x, edges, (whole,) = graph.nodes, graph.edge_features, graph.graph_features
    ends = list(zip(graph.edges.senders.tolist(), graph.edges.receivers.tolist(), strict=True))
    of = lambda name, *rows: torch.tanh(torch.cat(rows) @ p[name])
    nothing = torch.zeros(SIZES["edge"][1])
    new = [of("edge", edges[k], x[s], x[r], whole) for k, (s, r) in enumerate(ends)]
    scores = [of("score", e, x[s], x[r], whole).exp() for e, (s, r) in zip(new, ends, strict=True)]
    total = [sum(w for w, (_, other) in zip(scores, ends, strict=True) if other == r) for _, r in ends]
    new = [e * w / t for e, w, t in zip(new, scores, total, strict=True)]
    told = lambda i, end: sum((e for e, pair in zip(new, ends, strict=True) if pair[end] == i), nothing)
    nodes = torch.stack([of("node", x[i], told(i, 0), told(i, 1), whole) for i in range(len(x))])
    return nodes, sum(new, nothing), of("graph", nodes.mean(0), sum(new, nothing), whole)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_it_is_the_algorithm_row_by_row(rng):
    p, found = drawn(rng), several(rng)
    batch = graphs.batch_graphs(found, nodes=11, edges=9, size=4)
    names = ("nodes", "edge_features", "graph_features")

    def ours(x, edges, whole, *leaves):
        given = batch._replace(nodes=x, edge_features=edges, graph_features=whole)
        new = graph_network(given, **updates(dict(zip(p, leaves, strict=True))), nodes_to_graphs=segment_mean)
        return jnp.concatenate([new.nodes[:9].ravel(), new.graph_features[:3].ravel()])

    def theirs(x, edges, whole, *leaves):
        at, told, rows = [0, 0], [], []
        for i, g in enumerate(found):
            to = at[0] + len(g.nodes), at[1] + len(g.edge_features)
            one = g._replace(
                nodes=x[at[0] : to[0]], edge_features=edges[at[1] : to[1]], graph_features=whole[i : i + 1]
            )
            nodes, _, whole_of_it = by_rows(dict(zip(p, leaves, strict=True)), one)
            rows, told, at = [*rows, nodes.flatten()], [*told, whole_of_it], to
        return torch.cat([*rows, *told])

    assert_matches_torch(ours, theirs, [*(getattr(batch, name) for name in names), *p.values()])


def test_what_fills_up_is_never_read_and_comes_out_as_zero():
    rng = np.random.default_rng(1)
    p, batch = drawn(rng), graphs.batch_graphs(several(rng), nodes=11, edges=9, size=4)
    over = lambda x, mask: np.where(mask.reshape(-1, *(1,) * (x.ndim - 1)), x, np.nan)
    masks = {"nodes": batch.node_mask, "edge_features": batch.edges.mask, "graph_features": batch.graph_mask}
    spoilt = batch._replace(
        **{name: over(getattr(batch, name), mask) for name, mask in masks.items()},
        edges=batch.edges._replace(senders=np.where(batch.edges.mask, batch.edges.senders, 99)),
    )

    def loss(p, graph):
        new = graph_network(graph, **updates(p), edges_to_graphs=segment_max)
        found = [getattr(new, name) for name in masks]
        return sum(jnp.sum(x**2) for x in found), found

    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    whole = run(p, batch)
    jax.tree.map(np.testing.assert_array_equal, run(p, spoilt), whole)
    assert all(not np.asarray(x)[~mask].any() for x, mask in zip(whole[0][1], masks.values(), strict=True))


def test_a_graph_without_edges_has_none_afterwards():
    rng = np.random.default_rng(2)
    p, (alone,) = drawn(rng), several(rng, [(4, 0)])
    run = jax.jit(lambda graph: graph_network(graph, **updates(p)))
    found, batched = run(alone), run(graphs.batch_graphs([alone], nodes=4, edges=2, size=1))
    assert found.edge_features.shape == (0, 4)
    np.testing.assert_allclose(found.nodes, batched.nodes, rtol=1e-6)
    np.testing.assert_allclose(found.graph_features, batched.graph_features, rtol=1e-6)


def cases(jraph, p):
    """The cases of a graph network: ours, and Jraph's of the same functions."""
    cat = lambda name: lambda *rows: jnp.tanh(jnp.concatenate(rows, -1) @ p[name])
    two, three = (lambda s, r: jnp.tanh(s * r)), (lambda e, s, r: jnp.concatenate([e, s * r], -1))
    joined = lambda n, r: jnp.concatenate([n, r], -1)
    full = updates(p, attention=False)
    return {
        "graph network": (full, jraph.GraphNetwork(*(cat(name) for name in ("edge", "node", "graph")))),
        "of means and maxima": (
            full | {"edges_to_nodes": segment_mean, "nodes_to_graphs": segment_max},
            jraph.GraphNetwork(
                *(cat(name) for name in ("edge", "node", "graph")),
                aggregate_edges_for_nodes_fn=jraph.segment_mean,
                aggregate_nodes_for_globals_fn=jraph.segment_max,
            ),
        ),
        "attention": (
            updates(p),
            jraph.GraphNetGAT(cat("edge"), cat("node"), cat("score"), lambda e, w: e * w, cat("graph")),
        ),
        "interaction network": (
            {"update_edge": lambda e, s, r, u: three(e, s, r), "update_node": lambda n, s, r, u: joined(n, r)},
            jraph.InteractionNetwork(three, joined),
        ),
        "relation network": (
            {"update_edge": lambda e, s, r, u: two(s, r), "update_graph": lambda n, e, u: jnp.sin(e)},
            jraph.RelationNetwork(two, jnp.sin),
        ),
        "deep sets": (
            {"update_node": lambda n, s, r, u: jnp.tanh(joined(n, u)), "update_graph": lambda n, e, u: jnp.sin(n)},
            jraph.DeepSets(lambda n, u: jnp.tanh(joined(n, u)), jnp.sin),
        ),
    }


@pytest.mark.slow
def test_all_cases_are_jraphs():
    jraph = pytest.importorskip("jraph")
    rng = np.random.default_rng(2)
    p, found = drawn(rng), several(rng, [(3, 5), (4, 6), (2, 2)])
    batch = graphs.batch_graphs(found, nodes=12, edges=15, size=4)
    theirs = jraph.batch_np([in_jraph(jraph, g) for g in found])
    for name, (how, network) in cases(jraph, p).items():
        new, want = graphs.unpad_graphs(graph_network(batch, **how)), network(theirs)
        pairs = [(new.nodes, want.nodes), (new.edge_features, want.edges), (new.graph_features, want.globals)]
        for ours, other in pairs:
            np.testing.assert_allclose(ours, other, rtol=1e-5, atol=1e-5, err_msg=name)


def in_jraph(jraph, g):
    ends = {"senders": g.edges.senders, "receivers": g.edges.receivers}
    counts = {"n_node": np.array([len(g.nodes)]), "n_edge": np.array([len(g.edges.senders)])}
    return jraph.GraphsTuple(nodes=g.nodes, edges=g.edge_features, globals=g.graph_features, **ends, **counts)


ONE = graphs.graph(np.ones((3, 2), np.float32), [0, 1], [1, 2], np.ones((2, 4), np.float32), np.ones(5, np.float32))


@pytest.mark.parametrize(
    ("graph", "how", "error", "message"),
    [
        (ONE._replace(nodes=np.ones((3, 2), int)), {}, TypeError, "expected floating-point input, found int64"),
        (ONE._replace(owners=np.zeros(2, int)), {}, ValueError, r"an owner and a mask for each node, found owners \(2"),
        (ONE._replace(graph_features=np.ones((2, 5))), {}, ValueError, r"graph_features for each of \(1,\) graphs"),
        (ONE._replace(edge_features=np.ones((3, 4))), {}, ValueError, r"edge_features \(3,\)"),
        (ONE, {"update_edge": lambda e, *rest: e[:1]}, ValueError, r"update_edge to return a row for each.*\(2,\)"),
        (ONE, {"update_node": lambda n, *rest: None}, TypeError, "update_node: expected an array"),
        (ONE, {"score_edge": lambda e, *rest: e[:, :2]}, ValueError, r"one score for each edge, or for each of its"),
        (ONE._replace(edge_features=None), {"score_edge": lambda e, s, r, g: s}, ValueError, "features none, found"),
    ],
)
def test_bad_input_is_one_clear_error(graph, how, error, message):
    with pytest.raises(error, match=message):
        jax.eval_shape(lambda: graph_network(graph, **how))
