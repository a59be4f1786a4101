"""Attention by kernels against a mean weighted by features, in torch; chunk after chunk; 16 bits; bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.layers import kernel_attention, recurrent_kernel_attention
from tests.layers.attentions import cuts, sight
from tests.oracle import assert_matches_torch, configurations

FEATURES = {
    "elu": (lambda a: jax.nn.elu(a) + 1, lambda a: torch.nn.functional.elu(a) + 1),
    "exp": (jnp.exp, torch.exp),
    "square": (lambda a: a**2 + 0.1, lambda a: a**2 + 0.1),
}


def mean(q, k, v, seen, feature):
    """Of all values that a query sees, every weight of its own; nothing where it sees none."""
    q, k, v = (a.transpose(-2, -3) for a in (q, k, v))
    k, v = (a.repeat_interleave(q.shape[-3] // a.shape[-3], -3) for a in (k, v))
    weights = torch.einsum("...htn,...hsn->...hts", feature(q), feature(k)) * torch.tensor(seen)[..., None, :, :]
    total = weights.sum(-1, keepdim=True)
    return (weights / torch.where(total == 0, 1, total) @ v).transpose(-2, -3)


def drawn(rng, t, s):
    """Queries, keys and values of fewer heads, in float64."""
    leading = tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    g, r, n = rng.integers(1, 5, 3).tolist()
    return [rng.normal(size=(*leading, *size, n)) for size in ((t, g * r), (s, g), (s, g))]


def assert_is_the_mean(ours, arrays, seen, feature):
    with jax.enable_x64(True):
        assert_matches_torch(ours, lambda q, k, v: mean(q, k, v, seen, feature), arrays, tolerance=1e-9)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_it_is_a_mean_weighted_by_features(rng):
    causal, (ours, theirs) = bool(rng.integers(2)), list(FEATURES.values())[rng.integers(3)]
    t, s = rng.integers(1, 9, 2).tolist()
    s = t if causal else s
    arrays = drawn(rng, t, s)
    mask = rng.random((*arrays[0].shape[:-3], 1, s)) < 0.7 if rng.integers(2) else np.ones((1, s), bool)
    attend = partial(kernel_attention, mask=jnp.asarray(mask), causal=causal, features=ours)
    assert_is_the_mean(attend, arrays, mask & (sight(t) if causal else np.ones((t, 1), bool)), theirs)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_chunk_after_chunk_is_the_whole(rng):
    t, (features, theirs) = int(rng.integers(1, 9)), list(FEATURES.values())[rng.integers(3)]
    cut = cuts(rng, t)

    def ours(*whole):
        state, rows = None, []
        for chunk in zip(*(jnp.split(a, cut, -3) for a in whole), strict=True):
            y, state = recurrent_kernel_attention(*chunk, state, features=features)
            rows.append(y)
        return jnp.concatenate(rows, -3)

    assert_is_the_mean(ours, drawn(rng, t, t), sight(t), theirs)


def test_it_is_finite_where_its_sums_leave_float16():
    x = jnp.full((4, 1, 8), 60000, jnp.float16)
    np.testing.assert_array_equal(kernel_attention(x, x, x, causal=True), x)


A = jnp.ones((5, 2, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel_attention(A, A, A, window=3), r"kernel_attention: found a window"),
        (lambda: kernel_attention(A, A[:4], A[:4], causal=True), r"causal, found 5 queries and 4 keys"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
