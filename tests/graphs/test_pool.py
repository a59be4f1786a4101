"""Pooling against loops over graphs; the order of nodes; nodes of mask False; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import graphs
from tests.oracle import assert_matches_torch, configurations


def three(rng, d=3):
    """Three graphs in one batch that is filled up, the nodes of the filling NaN."""
    each = [rng.normal(size=(n, d)).astype(np.float32) for n in rng.integers(1, 5, 3)]
    whole = [graphs.graph(x, [0], [len(x) - 1]) for x in each]
    batch = graphs.batch_graphs(whole, nodes=14, edges=5, size=4)
    return each, jax.tree.map(jnp.asarray, batch)


def drawn(spec, rng):
    return jax.tree.map(lambda p: rng.normal(size=p.shape, scale=0.5).astype(np.float32), spec)


def attention(p, x):
    weights = (x @ p["score"]["w"]).softmax(0)
    return (weights * (x @ p["value"]["w"] + p["value"]["b"])).sum(0)


def set2set(p, x):
    d = x.shape[1]
    read, h, c = torch.zeros(2 * d), torch.zeros(d), torch.zeros(d)
    for _ in range(2):
        z = torch.einsum("d,dgh->gh", read, p["input"]["w"]) + p["input"]["b"]
        i, f, g, o = z + torch.einsum("d,dgh->gh", h, p["recurrent"]["w"])
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        read = torch.cat([h, (x @ h).softmax(0) @ x])
    return read


POOLS = {
    "attention": (graphs.attention_pool_spec(3), graphs.attention_pool, attention),
    "set2set": (graphs.set2set_spec(3), lambda p, x, g: graphs.set2set(p, x, g, steps=2), set2set),
}


@pytest.mark.parametrize("kind", sorted(POOLS))
@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_a_pooling_is_its_formula_graph_by_graph(kind, rng):
    spec, ours, theirs = POOLS[kind]
    each, batch = three(rng)
    leaves, tree = jax.tree.flatten(drawn(spec, rng))
    ends = np.cumsum([len(x) for x in each])[:-1]

    def one_by_one(x, *leaves):
        parts = torch.tensor_split(x[: sum(map(len, each))], ends.tolist())
        return torch.stack([*(theirs(tree.unflatten(leaves), part) for part in parts)])

    assert_matches_torch(
        lambda x, *leaves: ours(tree.unflatten(leaves), x, batch)[:3],
        one_by_one,
        [np.asarray(batch.nodes), *leaves],
    )


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_top_k_keeps_the_best_of_every_graph(rng):
    each, batch = three(rng)
    p = drawn(graphs.top_k_pool_spec(3), rng)
    y, left = graphs.top_k_pool(p, batch.nodes, batch, ratio=0.5)
    start = 0
    for i, x in enumerate(each):
        score = x @ p["w"][:, 0] / np.linalg.norm(p["w"])
        best = np.zeros(len(x), bool)
        best[np.argsort(-score)[: int(np.ceil(len(x) / 2))]] = True
        own = slice(start, start + len(x))
        np.testing.assert_array_equal(left.node_mask[own], best)
        np.testing.assert_allclose(y[own], np.where(best, np.tanh(score), 0)[:, None] * x, rtol=1e-5, atol=1e-6)
        assert left.edges.mask[i] == (best[0] and best[-1])
        start += len(x)
    assert not left.node_mask[start:].any()


def test_what_fills_a_batch_up_is_never_read():
    rng = np.random.default_rng(0)
    _, batch = three(rng)
    spoilt = jnp.where(batch.node_mask[:, None], batch.nodes, jnp.nan)
    p = {kind: drawn(spec, rng) for kind, (spec, *_) in POOLS.items()}
    pools = [
        *(lambda x, a=a: graphs.pool_nodes(x, batch, aggregate=a) for a in (graphs.segment_mean, graphs.segment_max)),
        *(lambda x, k=k: POOLS[k][1](p[k], x, batch) for k in POOLS),
    ]
    run = jax.jit(lambda x: [pool(x) for pool in pools])
    for found, whole in zip(run(spoilt), run(batch.nodes), strict=True):
        np.testing.assert_allclose(found[:3], whole[:3], rtol=1e-6, atol=1e-6)


def test_bad_input_is_one_clear_error():
    _, batch = three(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"pool_nodes: expected a row for each node, of leading axes \(14,\), found"):
        graphs.pool_nodes(jnp.ones((3, 3)), batch)
    with pytest.raises(ValueError, match=r"top_k_pool: expected a ratio in \(0, 1\], found 2"):
        graphs.top_k_pool({"w": jnp.ones((3, 1))}, batch.nodes, batch, ratio=2)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
@pytest.mark.parametrize(("share", "of"), [(3, 10), (7, 100), (5, 9), (1, 3), (1, 1)])
def test_top_k_keeps_a_whole_share_as_it_is(share, of, dtype):
    """And of one node more, one more."""
    with jax.enable_x64(dtype == jnp.float64):
        for n, room in ((5 * of, 5 * share), (5 * of + 1, 5 * share + 1)):
            one = graphs.graph(np.arange(n)[:, None] / n, [], [])
            _, left = graphs.top_k_pool({"w": jnp.ones((1, 1))}, jnp.asarray(one.nodes, dtype), one, ratio=share / of)
            assert left.node_mask.sum() == room


def test_an_edge_of_no_node_goes_and_is_of_no_graph():
    one = graphs.graph(np.ones((2, 1)), [0, 0], [1, 0], np.ones((2, 1)))
    one = jax.tree.map(jnp.asarray, one._replace(edges=graphs.Edges(np.array([0, 0]), np.array([1, -1]))))
    _, left = graphs.top_k_pool({"w": jnp.ones((1, 1))}, one.nodes, one, ratio=1.0)
    assert left.edges.mask.tolist() == [True, False]
    told = graphs.graph_network(one, update_graph=lambda nodes, edges, graph: edges)
    assert told.graph_features.tolist() == [[1.0]]


def test_what_a_masked_node_holds_has_no_gradient():
    one = graphs.graph(np.ones((2, 1)), [0], [1])._replace(node_mask=np.array([True, False]))
    p, x = {"w": jnp.ones((1, 1))}, jnp.array([[1.0], [jnp.nan]])
    slope = jax.jit(jax.grad(lambda p: graphs.top_k_pool(p, x, one, ratio=1.0)[0].sum()))(p)
    assert np.isfinite(slope["w"]).all()
