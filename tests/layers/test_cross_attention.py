"""Cross-attention to keys and values that are made already, against the formula in torch."""

import jax.numpy as jnp
import numpy as np
import pytest

from jnn.layers import attention_spec, cross_attention, cross_cache
from tests.layers.attentions import attended, leaves_of
from tests.oracle import assert_matches_torch, configurations


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_cross_attention_is_its_formula(rng):
    """Heads of any size and in groups; masks of all axes or some; a bias; sinks."""
    leading = tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    t, s, d, d_kv, g, r, head = rng.integers(1, 6, 7).tolist()
    more = {"bias": bool(rng.integers(2)), "sinks": bool(rng.integers(2))}
    leaves, tree = leaves_of(attention_spec(d, g * r, kv_heads=g, head=head, d_kv=d_kv, **more), rng)
    x, kv = (rng.normal(size=(*leading, *size)).astype(np.float32) for size in ((t, d), (s, d_kv)))
    mask = rng.random((*(leading if rng.integers(2) else ()), t if rng.integers(2) else 1, s)) < 0.7
    mask[..., rng.integers(s)] = True
    bias = rng.normal(size=(g * r, t, s)).astype(np.float32) * int(rng.integers(2))

    def ours(x, kv, bias, *leaves):
        p = tree.unflatten(leaves)
        return cross_attention(p, x, cross_cache(p, kv), mask=jnp.asarray(mask), bias=bias)

    theirs = lambda x, kv, bias, *leaves: attended(tree.unflatten(leaves), x, kv, seen=mask, bias=bias)
    assert_matches_torch(ours, theirs, [x, kv, bias, *leaves])


def test_other_leading_axes_are_one_clear_error():
    p = {name: {"w": jnp.ones((3, 2, 2))} for name in "qkv"} | {"o": {"w": jnp.ones((2, 2, 3))}}
    with pytest.raises(ValueError, match=r"cross_attention: expected x and the rows of the cache"):
        cross_attention(p, jnp.ones((5, 3)), cross_cache(p, jnp.ones((2, 4, 3))))
