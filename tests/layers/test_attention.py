"""attention against torch, Flax and jax.nn: heads, groups, windows; causality, derivatives, bad input."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.functional import linear as torch_linear
from torch.nn.functional import multi_head_attention_forward, scaled_dot_product_attention

from jnn import init
from jnn.layers import attention, attention_spec, length_mask, rotary
from tests.oracle import assert_matches_torch, configurations


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def tree(d, h, g, k, weights):
    """Our params from torch's layout: rows of w are outputs."""
    (wq, wk, wv, wo), (bq, bk, bv, bo) = weights[:4], weights[4:]
    into = lambda w, b, n: {"w": w.T.reshape(w.shape[1], n, k), "b": b.reshape(n, k)}
    return {
        "q": into(wq, bq, h),
        "k": into(wk, bk, g),
        "v": into(wv, bv, g),
        "o": {"w": wo.T.reshape(h, k, d), "b": bo},
    }


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 3, 6)), ids=range(20))
def test_multi_head_matches_torch_with_causality_padding_and_cross(rng):
    b, t, h, k = (int(n) for n in rng.integers(1, 5, 4))
    d, cross, causal = h * k, bool(rng.integers(2)), bool(rng.integers(2))
    s, d_kv = (int(rng.integers(1, 6)), int(rng.integers(1, 9))) if cross else (t, d)
    causal = causal and not cross
    lengths = rng.integers(1, s + 1, b).astype(np.int32)
    shapes = [(b, t, d), (b, s, d_kv), (d, d), (d, d_kv), (d, d_kv), (d, d), (d,), (d,), (d,), (d,)]
    arrays = [normal(rng, *shape) for shape in shapes]

    def ours(x, kv, *weights):
        p = tree(d, h, h, k, weights)
        return attention(p, x, kv if cross else None, causal=causal, mask=length_mask(jnp.asarray(lengths), s))

    def theirs(x, kv, wq, wk, wv, wo, bq, bk, bv, bo):
        kv = (kv if cross else x).transpose(0, 1)
        y, _ = multi_head_attention_forward(
            x.transpose(0, 1), kv, kv, d, h, None, torch.cat([bq, bk, bv]), None, None, False, 0.0, wo, bo,
            use_separate_proj_weight=True, q_proj_weight=wq, k_proj_weight=wk, v_proj_weight=wv,
            key_padding_mask=torch.arange(s)[None] >= torch.tensor(lengths)[:, None],
            attn_mask=torch.ones(t, t).triu(1).bool() if causal else None,
        )  # fmt: skip
        return y.transpose(0, 1)

    assert_matches_torch(ours, theirs, arrays, 1e-4)  # keys' biases have no gradient: what cancels is rounding


@pytest.mark.parametrize("rng", configurations(fast=(0, 2, 5, 6)), ids=range(20))
def test_grouped_queries_match_torch(rng):
    b, t, g, r, k, d = (int(n) for n in rng.integers(1, 5, 6))
    h, causal = g * r, bool(rng.integers(2))
    shapes = [(b, t, d), (h * k, d), (g * k, d), (g * k, d), (d, h * k), (h * k,), (g * k,), (g * k,), (d,)]

    def theirs(x, wq, wk, wv, wo, bq, bk, bv, bo):
        q = torch_linear(x, wq, bq).reshape(b, t, h, k).transpose(1, 2)
        keys = torch_linear(x, wk, bk).reshape(b, t, g, k).transpose(1, 2)
        values = torch_linear(x, wv, bv).reshape(b, t, g, k).transpose(1, 2)
        y = scaled_dot_product_attention(q, keys, values, is_causal=causal, enable_gqa=True)
        return torch_linear(y.transpose(1, 2).reshape(b, t, h * k), wo, bo)

    ours = lambda x, *weights: attention(tree(d, h, g, k, weights), x, causal=causal)
    # keys' biases have no gradient: what cancels is rounding
    assert_matches_torch(ours, theirs, [normal(rng, *shape) for shape in shapes], 1e-4)


@pytest.mark.parametrize("causal", [True, False])
def test_windows_match_jax_nn(causal):
    windows = (1, 2, 3, 9)

    @jax.jit
    def both(p, x):
        q, k, v = (jnp.einsum("btd,dhk->bthk", x, p[name]["w"]) + p[name]["b"][None, None] for name in "qkv")
        theirs = lambda n: jax.nn.dot_product_attention(q, k, v, is_causal=causal, local_window_size=n - 1)
        expected = [jnp.einsum("bthk,hkd->btd", theirs(n), p["o"]["w"]) for n in windows]
        return [attention(p, x, causal=causal, window=n) for n in windows], expected

    p = init(attention_spec(8, 4, kv_heads=2), jax.random.key(0))
    for window, *pair in zip(windows, *both(p, jax.random.normal(jax.random.key(1), (2, 6, 8))), strict=True):
        np.testing.assert_allclose(*pair, atol=1e-5, err_msg=f"window {window}")


def test_matches_flax():
    module = flax.linen.MultiHeadDotProductAttention(num_heads=2, qkv_features=6)
    x, kv = jax.random.normal(jax.random.key(0), (2, 3, 4)), jax.random.normal(jax.random.key(1), (2, 5, 4))
    variables = jax.jit(module.init)(jax.random.key(2), x, kv)
    names = {"q": "query", "k": "key", "v": "value", "o": "out"}
    theirs = variables["params"]
    p = {n: {"w": theirs[name]["kernel"], "b": theirs[name]["bias"]} for n, name in names.items()}
    both = jax.jit(lambda x, kv: (attention(p, x, kv), module.apply(variables, x, kv)))
    np.testing.assert_allclose(*both(x, kv), atol=1e-6)


@pytest.mark.parametrize("window", [None, 2])
def test_causality_by_gradient(window):
    p = init(attention_spec(8, 2), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (5, 8))
    run = lambda x: attention(p, x, causal=True, window=window, rotate=rotary)
    depends = np.abs(jax.jit(jax.jacobian(run))(x)).sum((1, 3)) > 0
    ahead = np.arange(5)[:, None] - np.arange(5)[None, :]
    np.testing.assert_array_equal(depends, (ahead >= 0) & (ahead < (window or 5)))


def test_forward_mode_and_second_derivatives():
    p = init(attention_spec(4, 2), jax.random.key(0))
    scalar = lambda x: jnp.sum(attention(p, x, causal=True) ** 2)

    @jax.jit
    def both(x, tangent):
        forward = jax.jvp(jax.grad(scalar), (x,), (tangent,))[1]
        return forward, jax.grad(lambda x: jnp.sum(jax.grad(scalar)(x) * tangent))(x)

    x, tangent = jax.random.normal(jax.random.key(1), (2, 3, 4))
    np.testing.assert_allclose(*both(x, tangent), rtol=1e-4, atol=1e-4)


P = init(attention_spec(4, 2), jax.random.key(0))
X = jnp.ones((3, 5, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: attention(P, X[..., :3]), ValueError, r"expect input \[...,4\], found float32\[3,5,3\]"),
        (lambda: attention(P, X.astype(int)), TypeError, r"attention: expected floating-point input"),
        (lambda: attention(P, X[0, 0]), ValueError, r"attention: expected an array of rank 2 or more"),
        (lambda: attention(P, X[:, :0]), ValueError, r"attention: expected at least one example"),
        (lambda: attention(P, X, X[..., :3]), ValueError, r"attention: kv: its parameters expect input \[...,4\]"),
        (lambda: attention(P, X, X.astype(int)), TypeError, r"attention: kv: expected floating-point input"),
        (lambda: attention(P, X, X[:2]), ValueError, r"same leading axes, found float32\[3,5,4\] and float32\[2,5,4\]"),
        (lambda: attention(P, X, X, causal=True), ValueError, r"causal, window and rotate are for self-attention"),
        (lambda: attention(P, X, window=0), ValueError, r"a window counts the rows that a query may see"),
        (lambda: attention(P, X, mask=jnp.ones((5, 5))), TypeError, r"expected a bool mask"),
        (lambda: attention(P, X, mask=jnp.ones((4, 5), bool)), ValueError, r"a mask of \(3, 5, 5\) or \(5, 5\)"),
        (lambda: attention(P, X, mask=jnp.ones(5, bool)), ValueError, r"a mask of \(3, 5, 5\) or \(5, 5\)"),
        (lambda: attention_spec(10, 4), ValueError, r"4 heads do not divide d=10"),
        (lambda: attention_spec(8, 4, kv_heads=3), ValueError, r"3 kv_heads do not divide 4 heads"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
