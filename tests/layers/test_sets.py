"""Layers of sets against their formulas in torch, their symmetries, and elements that are not there."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import layers
from tests.layers.recurrences import close, inputs, random_params
from tests.oracle import assert_matches_torch, configurations

relu = torch.relu


def dense(p, x):
    return x @ p["w"] + p["b"]


def attend(p, x, y):
    q, k, v = (
        torch.einsum("td,dhk->htk", a, p[n]["w"]) + p[n]["b"][:, None] for a, n in ((x, "q"), (y, "k"), (y, "v"))
    )
    heads = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1) @ v
    return torch.einsum("htk,hkd->td", heads, p["o"]["w"]) + p["o"]["b"]


def norm(p, x):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], eps=1e-5) * p["scale"] + p["bias"]


def mab(p, x, y):
    h = norm(p["norm_in"], x + attend(p["attention"], x, y))
    return norm(p["norm_out"], h + relu(dense(p["dense"], h)))


def deep_sets(p, x):
    two = lambda p, x: dense(p["down"], relu(dense(p["up"], x)))
    return two(p["all"], two(p["each"], x).sum(0))


CASES = {
    "deep_sets": (layers.deep_sets_spec(4, 5, 3), layers.deep_sets, deep_sets),
    "sab": (layers.set_attention_block_spec(4, 2), layers.set_attention_block, lambda p, x: mab(p, x, x)),
    "isab": (
        layers.induced_set_attention_block_spec(4, 2, 3),
        layers.induced_set_attention_block,
        lambda p, x: mab(p["out"], x, mab(p["in"], p["points"], x)),
    ),
    "pma": (
        layers.pooling_by_attention_spec(4, 2, 2),
        layers.pooling_by_attention,
        lambda p, x: mab(p["block"], p["seeds"], relu(dense(p["dense"], x))),
    ),
}
kinds = pytest.mark.parametrize("kind", sorted(CASES))


@kinds
@pytest.mark.parametrize("rng", configurations(6, fast=[0]), ids=range(6))
def test_a_layer_matches_its_formula(kind, rng):
    spec, ours, theirs = CASES[kind]
    leaves, tree = jax.tree.flatten(random_params(spec, int(rng.integers(99))))
    x = rng.normal(size=(rng.integers(1, 6), 4)).astype(np.float32)
    assert_matches_torch(
        lambda x, *leaves: ours(tree.unflatten(leaves), x),
        lambda x, *leaves: theirs(tree.unflatten(leaves), x),
        [x, *map(np.asarray, leaves)],
        tolerance=1e-3 if len(x) == 1 else 1e-4,  # the norm of few features is steep
    )


@kinds
def test_order_and_elements_that_are_not_there_change_nothing(kind):
    spec, layer, _ = CASES[kind]
    p, x, order = random_params(spec), inputs(5, 4), np.array([3, 1, 4, 0, 2])
    longer, mask = np.concatenate([x, np.full((2, 4), 9, np.float32)]), np.arange(7) < 5

    @jax.jit
    def run(p):
        return layer(p, x), layer(p, x[order]), layer(p, longer, mask=jnp.asarray(mask))

    whole, turned, filled = run(p)
    each = kind in ("sab", "isab")
    close(turned, whole[order] if each else whole)
    close(filled[:5] if each else filled, whole)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (jnp.ones(5), TypeError, "expected a bool mask, found float32"),
        (jnp.ones(4, bool), ValueError, r"expected a mask of \(5,\), one per element, found bool\[4\]"),
    ],
)
def test_bad_masks_are_one_clear_error(mask, error, message):
    for spec, layer, _ in (CASES["deep_sets"], CASES["sab"]):
        with pytest.raises(error, match=message):
            partial(layer, random_params(spec))(jnp.ones((5, 4)), mask=mask)
