"""Relative attention: the paper's sum over distances in torch, pair by pair, and bad input."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.layers import dot_product_attention, relative_attention
from tests.oracle import assert_matches_torch, configurations


def by_pairs(q, k, v, table, window):
    """Each pair's score by itself, of q (b, t, h, k)."""
    t, size = q.shape[1], q.shape[-1]
    back = torch.arange(t)[:, None] - torch.arange(t)
    keys = table[back.clamp(0, len(table) - 1)]  # (t, s, h, k)
    scores = (torch.einsum("bthk,bshk->bhts", q, k) + torch.einsum("bthk,tshk->bhts", q, keys)) / size**0.5
    seen = (back >= 0) & (back < (window or t))
    return torch.einsum("bhts,bshk->bthk", torch.where(seen, scores, -torch.inf).softmax(-1), v)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_it_is_the_papers_sum_over_distances(rng):
    b, t, h, size, distances = (int(rng.integers(1, most)) for most in (3, 9, 4, 6, 12))
    window = int(rng.integers(1, 6)) if rng.integers(2) else None
    arrays = [rng.normal(size=(b, t, h, size)).astype(np.float32) for _ in "qkv"]
    assert_matches_torch(
        lambda q, k, v, table: relative_attention({"table": table}, q, k, v, causal=True, window=window),
        lambda q, k, v, table: by_pairs(q, k, v, table, window),
        [*arrays, rng.normal(size=(distances, h, size)).astype(np.float32)],
    )


def test_a_table_of_zeros_is_attention():
    q, k, v = np.random.default_rng(0).normal(size=(3, 2, 5, 2, 4)).astype(np.float32)
    found = relative_attention({"table": jnp.zeros((3, 2, 4))}, q, k, v, causal=True)
    np.testing.assert_allclose(found, dot_product_attention(jnp.asarray(q), k, v, causal=True), rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"causal": False}, r"relative_attention: expected causal=True, .* found causal=False, 5 and 5"),
        ({"bias": jnp.zeros((5, 5))}, r"no bias beside; found causal=True, 5 and 5, a bias"),
        ({"q": jnp.ones((4, 2, 3))}, r"as many queries as keys.* 4 and 5"),
        ({"p": {"table": jnp.ones((4, 3, 3))}}, r"expected a table \(distances, 2, 3\), found float32\[4,3,3\]"),
        ({"p": {}}, r"relative_attention: .*'table'"),
    ],
)
def test_bad_input_is_one_clear_error(changes, message):
    given = {"p": {"table": jnp.ones((4, 2, 3))}, **dict.fromkeys("qkv", jnp.ones((5, 2, 3))), "causal": True}
    with pytest.raises(ValueError, match=message):
        relative_attention(**given | changes)
