"""Models that recommend, against what their papers write: double sums, a perceptron and a product, SASRec in torch."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import jnn
from jnn.models import (
    factorization_machine,
    neumf,
    neumf_spec,
    retrieval_tower,
    sasrec,
    sasrec_spec,
    two_tower,
    two_tower_spec,
)
from tests.oracle import assert_matches_torch, configurations


def drawn(rng, spec):
    """Leaves of random parameters, and what makes params of them."""
    leaves, tree = jax.tree.flatten(jax.tree.map(lambda p: rng.normal(size=p.shape, scale=0.5), spec))
    return [leaf.astype(np.float32) for leaf in leaves], tree.unflatten


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_factorization_machine_is_the_double_sum(rng):
    features, d, n, b = (int(rng.integers(1, most)) for most in (9, 6, 6, 4))
    ids = rng.integers(0, features, (b, n))
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((b, n), (), (features, 1), (features, d))]

    def explicit(x, b, w, v):
        y = b + (w[ids, 0] * x).sum(-1)
        for i, j in itertools.combinations(range(n), 2):
            y = y + (v[ids[:, i]] * v[ids[:, j]]).sum(-1) * x[:, i] * x[:, j]
        return y

    def ours(x, b, w, v):
        return factorization_machine({"b": b, "linear": {"table": w}, "factors": {"table": v}}, ids, x)

    assert_matches_torch(ours, explicit, arrays)


def test_factorization_machine_of_a_user_and_a_film_is_matrix_factorization():
    rng = np.random.default_rng(0)
    w, v = (jnp.asarray(rng.normal(size=(7, size)), jnp.float32) for size in (1, 3))
    p = {"b": jnp.array(0.5), "linear": {"table": w}, "factors": {"table": v}}
    users, films = jnp.array([0, 2, 1]), jnp.array([3, 6, 3])
    expected = 0.5 + w[users, 0] + w[films, 0] + (v[users] * v[films]).sum(1)
    np.testing.assert_allclose(factorization_machine(p, jnp.stack([users, films], 1)), expected, rtol=1e-5)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_neumf_is_a_product_and_a_perceptron(rng):
    users, items, d, half, last, b = (int(rng.integers(1, 5)) for _ in range(6))
    leaves, tree = drawn(rng, neumf_spec(users, items, d, (2 * half, last)))
    u, i = rng.integers(0, users, b), rng.integers(0, items, b)

    def theirs(*leaves):
        p = tree(leaves)
        side = lambda name, rows: (p[name]["product"]["table"][rows], p[name]["mlp"]["table"][rows])
        (pu, mu), (pi, mi) = side("users", u), side("items", i)
        hidden = F.relu(torch.cat([mu, mi], -1) @ p["mlp"]["fc0"]["w"] + p["mlp"]["fc0"]["b"])
        return (torch.cat([pu * pi, hidden], -1) @ p["out"]["w"] + p["out"]["b"])[:, 0]

    assert_matches_torch(lambda *leaves: neumf(tree(leaves), u, i, key=None), theirs, leaves)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_two_towers_are_cosines_of_two_perceptrons(rng):
    q, i, size, hidden, n = (int(rng.integers(1, 5)) for _ in range(5))
    leaves, tree = drawn(rng, two_tower_spec(q, i, (size, hidden, 3)))
    sides = [(rng.integers(0, rows, (2, n)), rng.normal(size=(2, n)).astype(np.float32)) for rows in (q, i)]

    def theirs(*leaves):
        p = tree(leaves)

        def tower(p, features, values):
            x = (p["embed"]["table"][features] * torch.tensor(values)[..., None]).sum(-2)
            h = F.relu(x @ p["mlp"]["fc0"]["w"] + p["mlp"]["fc0"]["b"])
            return F.normalize(h @ p["mlp"]["fc1"]["w"] + p["mlp"]["fc1"]["b"], dim=-1)

        return tower(p["queries"], *sides[0]) @ tower(p["items"], *sides[1]).T

    assert_matches_torch(lambda *leaves: two_tower(tree(leaves), *sides, key=None), theirs, leaves)


def torch_sasrec(p, items):
    """The blocks of the paper, with a norm before each branch, as its code has them."""
    table, d = p["embed"]["table"], p["embed"]["table"].shape[1]
    norm = lambda p, x: F.layer_norm(x, (d,), p["scale"], p["bias"], 1e-5)
    x = table[items] * d**0.5 + p["position"]["table"][: items.shape[-1]]
    own = lambda tree, i: {k: own(v, i) if isinstance(v, dict) else v[i] for k, v in tree.items()}
    for i in range(p["blocks"]["up"]["w"].shape[0]):
        block = own(p["blocks"], i)
        h, a = norm(block["norm1"], x), block["attention"]
        q, k, v = (torch.einsum("btd,dhk->bhtk", h, a[n]["w"]) + a[n]["b"][:, None] for n in "qkv")
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + torch.einsum("bhtk,hkd->btd", h, a["o"]["w"]) + a["o"]["b"]
        h = F.relu(norm(block["norm2"], x) @ block["up"]["w"] + block["up"]["b"])
        x = x + h @ block["down"]["w"] + block["down"]["b"]
    return norm(p["norm"], x) @ table.T


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_sasrec_matches_torch(rng):
    items, t, head, heads, layers = (int(rng.integers(1, most)) for most in (9, 6, 4, 3, 3))
    leaves, tree = drawn(rng, sasrec_spec(items, t + 1, 2 * head * heads, layers=layers, heads=heads))
    x = rng.integers(0, items, (2, t))
    assert_matches_torch(
        lambda *leaves: sasrec(tree(leaves), jnp.asarray(x), key=None),
        lambda *leaves: torch_sasrec(tree(leaves), x),
        leaves,
        tolerance=1e-4,
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: neumf_spec(2, 2, 4, (3, 2)), ValueError, r"neumf_spec: expected two sizes .* found \(3, 2\)"),
        (lambda: neumf_spec(2, 2, 4, (4,)), ValueError, "neumf_spec: expected two sizes"),
        (
            lambda: sasrec(jnn.init(sasrec_spec(5, 2, 4), jax.random.key(0)), jnp.zeros((1, 3), int), key=None),
            ValueError,
            "sasrec: found 3 items a sequence, its params have 2 positions",
        ),
        (
            lambda: factorization_machine({"b": jnp.zeros(()), "linear": {}, "factors": {}}, jnp.zeros(2)),
            TypeError,
            "factorization_machine: expected integers",
        ),
        (
            lambda: retrieval_tower(
                jnn.init(two_tower_spec(1, 1, (2, 2)), jax.random.key(0))["items"],
                jnp.zeros(2, int),
                jnp.ones(3),
                key=None,
            ),
            ValueError,
            "embedding_bag",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
