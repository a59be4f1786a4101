"""Layers of sets against their formulas in torch, their symmetries, and elements that are not there."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import layers
from tests.layers.attentions import attended, leaves_of
from tests.layers.recurrences import close, inputs, random_params
from tests.oracle import assert_matches_torch, configurations

relu = torch.relu


def dense(p, x):
    return x @ p["w"] + p["b"]


def norm(p, x):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], eps=1e-5) * p["scale"] + p["bias"]


def mab(p, x, y, mask):
    h = norm(p["norm_in"], x + attended(p["attention"], x, y, seen=mask[..., None, :]))
    return norm(p["norm_out"], h + relu(dense(p["dense"], h)))


def each(points, x):
    return points.expand(*x.shape[:-2], *points.shape)


def induced(p, x, mask):
    found = mab(p["in"], each(p["points"], x), x, mask)
    return mab(p["out"], x, found, torch.ones(found.shape[:-1], dtype=torch.bool))


def deep_sets(p, x, mask):
    two = lambda p, x: dense(p["down"], relu(dense(p["up"], x)))
    return two(p["all"], (two(p["each"], x) * mask[..., None]).sum(-2))


CASES = {  # the declaration for features in heads of n, and n of whatever else there is; the layer; its formula
    "deep_sets": (lambda d, heads, n: layers.deep_sets_spec(d, n, 3), layers.deep_sets, deep_sets),
    "sab": (
        lambda d, heads, n: layers.set_attention_block_spec(d, heads),
        layers.set_attention_block,
        lambda p, x, mask: mab(p, x, x, mask),
    ),
    "isab": (layers.induced_set_attention_block_spec, layers.induced_set_attention_block, induced),
    "pma": (
        layers.pooling_by_attention_spec,
        layers.pooling_by_attention,
        lambda p, x, mask: mab(p["block"], each(p["seeds"], x), relu(dense(p["dense"], x)), mask),
    ),
}
kinds = pytest.mark.parametrize("kind", sorted(CASES))


def drawn(rng, *of):
    """Sets of so many elements, of random sizes and leading axes, in float64; and who is there, one at least."""
    leading = tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    sets = [rng.normal(size=(*leading, *size)) for size in of]
    mask = rng.random(sets[-1].shape[:-1]) < 0.7
    mask[..., 0] = True
    return sets, mask if rng.integers(2) else None


def assert_is_its_formula(ours, theirs, spec, rng, sets, mask):
    """In float64: the norm of few features is steep."""
    leaves, tree = leaves_of(spec, rng)
    n, there = len(sets), torch.tensor(np.ones(sets[-1].shape[:-1], bool) if mask is None else mask)
    given = None if mask is None else jnp.asarray(mask)
    with jax.enable_x64(True):
        assert_matches_torch(
            lambda *a: ours(tree.unflatten(a[n:]), *a[:n], mask=given),
            lambda *a: theirs(tree.unflatten(a[n:]), *a[:n], there),
            [*sets, *(leaf.astype(np.float64) for leaf in leaves)],
            tolerance=1e-8,
        )


@kinds
@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_a_layer_matches_its_formula(kind, rng):
    spec, ours, theirs = CASES[kind]
    heads, head, n, t = rng.integers(1, 5, 4).tolist()
    sets, mask = drawn(rng, (t, heads * (head + 1)))
    assert_is_its_formula(ours, theirs, spec(heads * (head + 1), heads, n), rng, sets, mask)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_a_block_of_two_sets_matches_its_formula(rng):
    heads, head, d_kv, t, s = rng.integers(1, 5, 5).tolist()
    spec = layers.multihead_attention_block_spec(heads * (head + 1), heads, d_kv=d_kv)
    sets, mask = drawn(rng, (t, heads * (head + 1)), (s, d_kv))
    assert_is_its_formula(layers.multihead_attention_block, mab, spec, rng, sets, mask)


@kinds
def test_order_and_elements_that_are_not_there_change_nothing(kind):
    spec, layer, _ = CASES[kind]
    p, x, order = random_params(spec(4, 2, 3)), inputs(5, 4), np.array([3, 1, 4, 0, 2])
    longer, mask = np.concatenate([x, np.full((2, 4), 9, np.float32)]), np.arange(7) < 5

    @jax.jit
    def run(p):
        return layer(p, x), layer(p, x[order]), layer(p, longer, mask=jnp.asarray(mask))

    whole, turned, filled = run(p)
    of_each = kind in ("sab", "isab")
    close(turned, whole[order] if of_each else whole)
    close(filled[:5] if of_each else filled, whole)


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
            partial(layer, random_params(spec(4, 2, 3)))(jnp.ones((5, 4)), mask=mask)
