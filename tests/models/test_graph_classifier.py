"""Classifiers of nodes and of graphs against matrices in torch, and of Cora's papers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jnn
from jnn import graphs
from jnn.data import planetoid
from jnn.graphs import Edges
from jnn.models import graph_classifier, graph_classifier_spec, node_classifier, node_classifier_spec
from tests.needed_data import needs
from tests.oracle import assert_matches_torch

N = 5
SENDERS, RECEIVERS = np.array([0, 1, 1, 3, 2, 4], np.int32), np.array([1, 0, 2, 1, 4, 2], np.int32)
ADJACENT = np.zeros((N, N))
ADJACENT[RECEIVERS, SENDERS] = 1


def drawn(spec, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: rng.normal(size=p.shape, scale=0.5).astype(np.float32), spec)


def linear(p, x):
    return x @ p["w"] + p["b"]


def gcn(p, x):
    """The formula of matrices."""
    a = torch.tensor(ADJACENT) + torch.eye(N)
    root = torch.diag(a.sum(1) ** -0.5)
    return root @ a @ root @ (x @ p["w"]) + p["b"]


def sage(p, x):
    a = torch.tensor(ADJACENT)
    return linear(p["self"], x) + (a / a.sum(1, keepdim=True).clamp(min=1)) @ x @ p["neighbors"]["w"]


def gat(p, x):
    h = torch.einsum("nd,dhk->nhk", x, p["w"])
    scores = (h * p["receiver"]).sum(-1)[:, None] + (h * p["sender"]).sum(-1)[None]
    near = (torch.tensor(ADJACENT) + torch.eye(N)) > 0
    scores = torch.nn.functional.leaky_relu(scores, 0.2).masked_fill(~near[..., None], -torch.inf)
    return (torch.einsum("ijh,jhk->ihk", scores.softmax(1), h) + p["b"]).flatten(1)


CASES = {
    "gcn": (graphs.gcn, gcn, {"layer_spec": graphs.gcn_spec}),
    "graph_sage": (graphs.graph_sage, sage, {"layer_spec": graphs.graph_sage_spec}),
    "gat": (graphs.gat, gat, {"layer_spec": graphs.gat_spec, "heads": 2}),
}


@pytest.mark.parametrize(
    "kind", ["gcn", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("graph_sage", "gat"))]
)
def test_a_node_classifier_matches_matrices(kind):
    ours, theirs, how = CASES[kind]
    leaves, tree = jax.tree.flatten(drawn(node_classifier_spec(3, 4, 2, **how)))

    def layers(x, *leaves):
        first, last = tree.unflatten(leaves)["layers"]
        return theirs(last, torch.relu(theirs(first, x)))

    assert_matches_torch(
        lambda x, *leaves: node_classifier(tree.unflatten(leaves), x, Edges(SENDERS, RECEIVERS), key=None, layer=ours),
        layers,
        [np.random.default_rng(1).normal(size=(N, 3)).astype(np.float32), *leaves],
    )


@pytest.mark.slow
def test_a_graph_classifier_matches_matrices():
    """Nodes 0 to 3 are one graph, node 4 another, without edges."""
    leaves, tree = jax.tree.flatten(drawn(graph_classifier_spec(3, 4, 2, layers=2)))
    owners = np.array([0, 0, 0, 0, 1], np.int32)
    edges = Edges(SENDERS, RECEIVERS, np.array([True, True, True, True, False, False]))
    adjacent = ADJACENT.copy()
    adjacent[[4, 2], [2, 4]] = 0

    def ours(x, *leaves):
        one = graphs.Graph(x, edges, None, owners, np.ones(N, bool), np.ones(2, bool))
        return graph_classifier(tree.unflatten(leaves), one, key=None)

    def theirs(x, *leaves):
        p, a, whose = tree.unflatten(leaves), torch.tensor(adjacent), torch.tensor(np.eye(2)[owners])
        pooled = [whose.T @ x]
        for one in p["layers"]:
            h = (1 + one["epsilon"]) * x + a @ x
            x = torch.relu(linear(one["down"], torch.relu(linear(one["up"], h))))
            pooled.append(whose.T @ x)
        return linear(p["out"], torch.cat(pooled, 1))

    assert_matches_torch(ours, theirs, [np.random.default_rng(1).normal(size=(N, 3)).astype(np.float32), *leaves])


def rings(n):
    """A ring of n nodes, all alike, in both directions."""
    ahead, back = np.arange(n), (np.arange(n) + 1) % n
    return graphs.graph(np.ones((n, 2), np.float32), np.concatenate([ahead, back]), np.concatenate([back, ahead]))


@pytest.mark.slow
def test_what_fills_a_batch_up_has_no_part():
    p = drawn(graph_classifier_spec(2, 4, 3, layers=2))
    run = jax.jit(lambda p, graph: graph_classifier(p, graph, key=None))
    alone = [run(p, rings(n))[0] for n in (3, 5)]
    whole = run(p, graphs.batch_graphs([rings(3), rings(5)], nodes=12, edges=20, size=3))
    np.testing.assert_allclose(whole[:2], alone, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(whole[2], p["out"]["b"], rtol=1e-6)


@pytest.mark.parametrize(("layers", "hidden", "heads"), [(0, 8, None), (2, 9, 2)])
def test_a_size_that_does_not_fit_is_one_clear_error(layers, hidden, heads):
    with pytest.raises(ValueError, match="node_classifier_spec: expected one layer or more and a multiple of"):
        node_classifier_spec(3, hidden, 2, layers=layers, layer_spec=graphs.gat_spec, heads=heads)


def accuracy_on_cora(cora, seed):
    """As Kipf and Welling train: 16 features, Adam of 0.01, 5e-4 of decay of the first layer, 200 epochs."""
    x = jnp.asarray(cora["x"] / np.maximum(cora["x"].sum(1, keepdims=True), 1))
    edges, y = Edges(*jnp.asarray(cora["edges"]).T), jnp.asarray(cora["y"])
    train, test = (np.flatnonzero(cora[f"{part}_mask"]) for part in ("train", "test"))
    p = jnn.init(node_classifier_spec(x.shape[1], 16, 7), jax.random.key(seed))
    adam = optax.adam(0.01)

    def loss(p, key):
        logits = node_classifier(p, x, edges, key=key)
        decay = 0.5 * 5e-4 * sum(jnp.sum(jnp.square(w)) for w in jax.tree.leaves(p["layers"][0]))
        return jnn.losses.cross_entropy(logits[train], y[train]).mean() + decay

    def update(state, key):
        p, moments = state
        change, moments = adam.update(jax.grad(loss)(p, key), moments)
        return (optax.apply_updates(p, change), moments), None

    @jax.jit
    def fit(p, keys):
        (p, _), _ = jax.lax.scan(update, (p, adam.init(p)), keys)
        return jnp.mean(jnp.argmax(node_classifier(p, x, edges, key=None)[test], -1) == y[test])

    return 100 * float(fit(p, jax.random.split(jax.random.key(1000 + seed, impl="rbg"), 200)))


@pytest.mark.slow
def test_gcn_classifies_coras_papers_as_published():
    """81.5 % of the 1,000 test papers of the Planetoid split (Kipf and Welling, 2017), after 140 for training."""
    needs("cora")
    cora = planetoid()
    found = [accuracy_on_cora(cora, seed) for seed in range(3)]
    assert abs(np.mean(found) - 81.5) < 1.5, found
