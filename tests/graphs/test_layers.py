"""Graph layers against their formulas, node by node, in torch; the order of nodes, what fills up, graphs in batches."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import graphs
from jnn.graphs import Edges
from tests.oracle import assert_matches_torch, configurations

relu, leaky = torch.relu, partial(torch.nn.functional.leaky_relu, negative_slope=0.2)


def told(i, edges):
    """The senders of node i, and the edges that they come by."""
    return [(int(s), k) for k, (s, r, there) in enumerate(zip(*edges, strict=True)) if there and r == i]


def nodes(one, x, edges, features=None):
    """A formula for each node: `one(i, [(sender, edge), ...])`."""
    return torch.stack([one(i, told(i, edges)) for i in range(len(x))])


def stacked(rows, like):
    return torch.stack(rows) if rows else torch.zeros(0, *like.shape)


def mean(rows, like):
    return stacked(rows, like).mean(0) if rows else torch.zeros_like(like)


def mlp(p, x):
    return relu(x @ p["up"]["w"] + p["up"]["b"]) @ p["down"]["w"] + p["down"]["b"]


def gcn(p, x, edges, features):
    """The formula of matrices."""
    a = torch.eye(len(x))
    for s, r, there in zip(*edges, strict=True):
        a[r, s] += float(there)
    root = torch.diag(a.sum(1) ** -0.5)
    return root @ a @ root @ x @ p["w"] + p["b"]


def graph_sage(p, x, edges, features):
    return nodes(
        lambda i, js: x[i] @ p["self"]["w"] + p["self"]["b"] + mean([x[j] for j, _ in js], x[0]) @ p["neighbors"]["w"],
        x,
        edges,
    )


def gin(p, x, edges, features):
    return nodes(lambda i, js: mlp(p, (1 + p["epsilon"]) * x[i] + sum(x[j] for j, _ in js)), x, edges)


def edge_conv(p, x, edges, features):
    empty = torch.zeros(p["down"]["w"].shape[1])
    one = lambda i, js: stacked([mlp(p, torch.cat([x[i], x[j] - x[i]])) for j, _ in js], empty)
    return nodes(lambda i, js: one(i, js).amax(0) if js else empty, x, edges)


def edge_conditioned_conv(p, x, edges, features):
    hidden = relu(features @ p["edge"]["w"] + p["edge"]["b"])
    kernels = torch.einsum("eh,hio->eio", hidden, p["kernel"]["w"]) + p["kernel"]["b"]
    own = x @ p["self"]["w"] + p["self"]["b"]
    return nodes(lambda i, js: own[i] + sum(x[j] @ kernels[k] for j, k in js), x, edges)


def principal_aggregation(p, x, edges, features):
    def one(i, js):
        if not js:
            found = torch.cat([torch.zeros(3 * x.shape[1]), torch.full(x.shape[1:], 0.01) ** 0.5])
            return torch.cat([x[i], found, 0 * found, found])
        sent = torch.stack([x[j] for j, _ in js])
        spread = (sent.var(0, unbiased=False) + 0.01).sqrt()
        found = torch.cat([sent.mean(0), sent.amax(0), sent.amin(0), spread])
        amount = np.log(len(js) + 1) / 1.5
        return torch.cat([x[i], found, found * amount, found / amount])

    return nodes(lambda i, js: one(i, js) @ p["w"] + p["b"], x, edges)


def weighted(score, value, js):
    weights = torch.stack([score(j, k) for j, k in js]).softmax(0)
    return sum(w[:, None] * value(j, k) for w, (j, k) in zip(weights, js, strict=True))


def gat(p, x, edges, features):
    h = torch.einsum("nd,dhk->nhk", x, p["w"])
    score = lambda i, j: leaky((h[j] * p["sender"]).sum(-1) + (h[i] * p["receiver"]).sum(-1))
    one = lambda i, js: weighted(lambda j, k: score(i, j), lambda j, k: h[j], [*js, (i, None)]) + p["b"]
    return nodes(one, x, edges).flatten(1)


def gatv2(p, x, edges, features):
    s, r = (torch.einsum("nd,dhk->nhk", x, p[end]["w"]) + p[end]["b"] for end in ("sender", "receiver"))
    score = lambda i, j: (leaky(s[j] + r[i]) * p["score"]).sum(-1)
    one = lambda i, js: weighted(lambda j, k: score(i, j), lambda j, k: s[j], [*js, (i, None)])
    return nodes(one, x, edges).flatten(1)


def graph_transformer(p, x, edges, features):
    q, key, v, own = (torch.einsum("nd,dhk->nhk", x, p[n]["w"]) + p[n]["b"] for n in ("q", "k", "v", "self"))
    e = torch.einsum("nd,dhk->nhk", features, p["edge"]["w"])
    score = lambda i, j, k: (q[i] * (key[j] + e[k])).sum(-1) / q.shape[-1] ** 0.5
    found = lambda i, js: weighted(lambda j, k: score(i, j, k), lambda j, k: v[j] + e[k], js) if js else 0
    return nodes(lambda i, js: own[i] + found(i, js), x, edges).flatten(1)


def gated_graph_conv(p, x, edges, features):
    u, w, h = p["cell"]["input"], p["cell"]["recurrent"], x
    for _ in range(2):
        sent = h @ p["messages"]["w"]
        got = nodes(lambda i, js, sent=sent: sum((sent[j] for j, _ in js), torch.zeros(x.shape[1])), x, edges)
        xr, xz, xn = (torch.einsum("nd,dgh->ngh", got, u["w"]) + u["b"]).unbind(1)
        hr, hz, hn = (torch.einsum("nd,dgh->ngh", h, w["w"]) + w["b"]).unbind(1)
        z = torch.sigmoid(xz + hz)
        h = (1 - z) * torch.tanh(xn + torch.sigmoid(xr + hr) * hn) + z * h
    return h


plain = lambda layer, **options: lambda p, x, edges, features: layer(p, x, edges, **options)
CASES = {
    "gcn": (graphs.gcn_spec(3, 4), plain(graphs.gcn), gcn),
    "graph_sage": (graphs.graph_sage_spec(3, 4), plain(graphs.graph_sage), graph_sage),
    "gin": (graphs.gin_spec(3, 5, 4), plain(graphs.gin), gin),
    "edge_conv": (graphs.edge_conv_spec(3, 5, 4), plain(graphs.edge_conv), edge_conv),
    "nnconv": (
        graphs.edge_conditioned_conv_spec(3, 2, 4, 5),
        graphs.edge_conditioned_conv,
        edge_conditioned_conv,
    ),
    "pna": (
        graphs.principal_aggregation_spec(3, 4),
        plain(graphs.principal_aggregation, delta=1.5, epsilon=0.01),
        principal_aggregation,
    ),
    "gat": (graphs.gat_spec(3, 2, 4), plain(graphs.gat), gat),
    "gatv2": (graphs.gatv2_spec(3, 2, 4), plain(graphs.gatv2), gatv2),
    "transformer": (graphs.graph_transformer_spec(3, 2, 4, d_edge=2), graphs.graph_transformer, graph_transformer),
    "gated": (graphs.gated_graph_conv_spec(3), plain(graphs.gated_graph_conv, steps=2), gated_graph_conv),
}
kinds = pytest.mark.parametrize("kind", sorted(CASES))


def drawn(spec, rng):
    return jax.tree.map(lambda p: rng.normal(size=p.shape, scale=0.5).astype(np.float32), spec)


def problem(rng, n=5, e=9):
    """Nodes, edges of which some are masked, and features of edges; the last node is told nothing."""
    ends = rng.integers(0, n, e), rng.integers(0, n - 1, e)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    return draw(n, 3), Edges(*(end.astype(np.int32) for end in ends), rng.integers(0, 4, e) > 0), draw(e, 2)


@kinds
@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_a_layer_matches_its_formula(kind, rng):
    spec, ours, theirs = CASES[kind]
    x, edges, features = problem(rng)
    leaves, tree = jax.tree.flatten(drawn(spec, rng))
    assert_matches_torch(
        lambda x, features, *leaves: ours(tree.unflatten(leaves), x, edges, features),
        lambda x, features, *leaves: theirs(tree.unflatten(leaves), x, edges, features),
        [x, features, *leaves],
    )


@kinds
def test_order_and_what_fills_up_change_nothing(kind):
    """Other numbers for the nodes and another order of edges; edges of mask False and nodes without edges, of NaN."""
    spec, layer, _ = CASES[kind]
    rng = np.random.default_rng(1)
    p, (x, edges, features) = drawn(spec, rng), problem(rng)
    new, order = rng.permutation(len(x)), rng.permutation(len(features))
    number = np.argsort(new)  # where each node has gone

    moved = Edges(*(number[end][order] for end in edges[:2]), edges.mask[order])
    fill = lambda a, n, value: np.concatenate([a, np.full((n, *a.shape[1:]), value, a.dtype)])
    spoilt = Edges(*(fill(end, 3, len(x)) for end in edges[:2]), fill(edges.mask, 3, False))

    @jax.jit
    def run(p):
        whole = layer(p, jnp.asarray(x), edges, jnp.asarray(features))
        turned = layer(p, jnp.asarray(x[new]), moved, jnp.asarray(features[order]))
        filled = layer(p, jnp.asarray(fill(x, 2, np.nan)), spoilt, jnp.asarray(fill(features, 3, np.nan)))
        return whole, turned, filled

    whole, turned, filled = run(p)
    np.testing.assert_allclose(turned, whole[new], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(filled[: len(x)], whole, rtol=1e-5, atol=1e-5)


@kinds
@pytest.mark.parametrize("none", [-1, 5])
def test_the_ends_of_a_masked_edge_may_be_no_node(kind, none):
    spec, layer, _ = CASES[kind]
    rng = np.random.default_rng(5)
    p, (x, edges, features) = drawn(spec, rng), problem(rng)
    nowhere = Edges(np.where(edges.mask, edges.senders, none), edges.receivers, edges.mask)
    run = jax.jit(jax.grad(lambda p, x, edges: jnp.square(layer(p, x, edges, features)).sum(), (0, 1)))
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    jax.tree.map(close, run(p, x, nowhere), run(p, x, edges))


@pytest.mark.parametrize("kind", ["gcn", "transformer", "pna"])
def test_a_batch_of_graphs_is_the_graphs_one_by_one(kind):
    spec, layer, _ = CASES[kind]
    rng = np.random.default_rng(2)
    p, several = drawn(spec, rng), []
    for n, e in ((3, 4), (2, 3), (4, 0)):
        draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
        several.append(graphs.graph(draw(n, 3), rng.integers(0, n, e), rng.integers(0, n, e), draw(e, 2)))
    batch = graphs.batch_graphs(several, nodes=11, edges=8, size=4)

    alone = [graphs.batch_graphs([g], nodes=5, edges=5, size=1) for g in several]

    @jax.jit
    def run(p, batch, alone):
        pool = lambda x, g: graphs.pool_nodes(x, g, aggregate=graphs.segment_max)
        one = lambda g: pool(layer(p, g.nodes, g.edges, g.edge_features), g)
        return one(batch), [one(g) for g in alone]

    whole, alone = run(p, batch, alone)
    np.testing.assert_allclose(whole[:3], np.concatenate(alone), rtol=1e-5, atol=1e-5)
    assert not whole[3].any()


@pytest.mark.parametrize("kind", ["edge_conv", "nnconv", "transformer"])
def test_a_graph_without_edges_is_nodes_that_nobody_tells(kind):
    spec, layer, _ = CASES[kind]
    rng = np.random.default_rng(3)
    p, (x, *_) = drawn(spec, rng), problem(rng)
    none, masked = np.zeros(0, np.int32), Edges(*np.zeros((2, 1), np.int32), np.array([False]))
    run = jax.jit(lambda edges, features: layer(p, jnp.asarray(x), edges, features))
    found, wanted = run(Edges(none, none), np.zeros((0, 2))), run(masked, np.zeros((1, 2)))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("kind", ["nnconv", "transformer"])
def test_features_of_masked_edges_have_no_gradient(kind):
    spec, layer, _ = CASES[kind]
    rng = np.random.default_rng(4)
    p, (x, edges, features) = drawn(spec, rng), problem(rng)
    spoilt = np.where(edges.mask[:, None], features, np.nan)
    run = jax.jit(jax.grad(lambda p, features: layer(p, jnp.asarray(x), edges, features).sum()))
    jax.tree.map(np.testing.assert_array_equal, run(p, spoilt), run(p, np.where(edges.mask[:, None], features, 0)))
