"""Linear attention, Mamba-2, gated delta nets and S4D against their recurrences, row by row in NumPy; bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init
from jnn.layers import (
    gated_delta_net,
    gated_delta_net_spec,
    linear_attention,
    long_conv,
    mamba2,
    mamba2_spec,
    s4d,
    s4d_spec,
    short_conv,
    wkv,
)
from tests.oracle import configurations


def in_float64(spec):
    """Parameters in float64, moved off their initial values."""
    p = init(spec, jax.random.key(0))
    return jax.tree.map(lambda a: np.asarray(a, np.float64) + 0.1 * np.cos(np.arange(a.size)).reshape(a.shape), p)


def recurrence(q, k, v, decay, beta, state):
    """One head, row by row, in torch: (t, n), (t, n), (t, p), (t,), (t,) or None, (n, p)."""
    ys = []
    for i in range(len(q)):
        state = torch.exp(decay[i]) * state
        new = v[i] if beta is None else beta[i] * (v[i] - k[i] @ state)
        state = state + torch.outer(k[i], new)
        ys.append(q[i] @ state)
    return torch.stack(ys), state


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
@pytest.mark.parametrize("delta", [False, True])
def test_chunks_are_the_recurrence_row_by_row_with_its_gradient(delta, rng):
    t, n, p, chunk = (int(i) for i in rng.integers(1, 9, 4))
    q, k, v = (rng.normal(size=(t, size)) for size in (n, n, p))
    k = k / np.linalg.norm(k, axis=-1, keepdims=True)
    decay, beta, state = -rng.exponential(size=t), rng.uniform(size=t), rng.normal(size=(n, p))
    arrays = [q, k, v, decay, state, *([beta] if delta else [])]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected, last = recurrence(*ts[:4], ts[5] if delta else None, ts[4])
    toward = rng.normal(size=expected.shape)
    ((expected * torch.tensor(toward)).sum() + last.sum()).backward()

    def ours(q, k, v, decay, state, beta=None):
        head = lambda a: None if a is None else a[:, None]
        y, last = linear_attention(*map(head, (q, k, v, decay, beta)), state=state[None], chunk=chunk)
        return jnp.sum(y[:, 0] * toward) + last.sum(), y[:, 0]

    with jax.enable_x64(True):
        grads, y = jax.jit(jax.grad(ours, tuple(range(len(arrays))), has_aux=True))(*map(jnp.asarray, arrays))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-9, atol=1e-9)
    for found, wanted in zip(grads, ts, strict=True):
        np.testing.assert_allclose(found, wanted.grad.numpy(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("gone", [-np.inf, -1e30])
def test_a_row_may_forget_all_and_those_behind_it_are_as_if_alone(gone):
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(3, 5, 1, 2)).astype(np.float32)
    decay = -rng.uniform(size=(5, 1)).astype(np.float32)
    decay[2] = gone
    run = jax.jit(
        jax.value_and_grad(lambda q, d, a: (y := linear_attention(q, *a, d)[0])[2:].sum() + 0 * y.sum(), (0, 1))
    )
    found, gradient = run(q, decay, (k, v))
    alone, theirs = jax.value_and_grad(lambda q, d: linear_attention(q, k[2:], v[2:], d)[0].sum(), (0, 1))(
        q[2:], decay[2:]
    )
    np.testing.assert_allclose(found, alone, rtol=1e-4)
    for a, b in zip(gradient, theirs, strict=True):
        np.testing.assert_allclose(a[2:], b, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(a[:2], 0)


def test_an_oscillation_whose_decay_is_nothing_adds_up():
    p, x = init(s4d_spec(1, states=1), jax.random.key(0)), jnp.ones((3, 1))
    p = p | {"rate": jnp.full((1, 1), -200.0), "skip": jnp.zeros(1)}
    found, gradient = jax.jit(jax.value_and_grad(lambda p: s4d(p, x)[0][-1, 0]))(p)
    np.testing.assert_allclose(found, 6 * p["c"][0, 0, 0] * jnp.exp(p["step"][0]), rtol=1e-5)
    assert all(np.isfinite(g).all() for g in gradient.values())


def silu(a):
    return a / (1 + np.exp(-a))


def mixed(p, x, name):
    """A projection behind its short convolution, (t, heads, size)."""
    a = np.einsum("td,dhn->thn", x, p[name]["w"])
    w, b = p["conv"][name], p["conv_bias"][name] if "conv_bias" in p else 0
    return silu(np.stack([sum(w[i] * a[t - i] for i in range(len(w)) if i <= t) + b for t in range(len(a))]))


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
@pytest.mark.parametrize("kind", ["mamba2", "published mamba2", "gated_delta_net"])
def test_layers_are_the_papers_recurrences(kind, rng):
    t, d, head, states, groups, share, chunk = (int(n) for n in rng.integers(1, [9, 7, 5, 4, 3, 3, 5]))
    x, heads = rng.normal(size=(t, d)), 2 * groups * share
    delta, norms = kind == "gated_delta_net", 2 if kind.startswith("published") else 1
    more = {"conv_bias": True} if norms == 2 else {}
    spec = (gated_delta_net_spec if delta else mamba2_spec)(d, heads, head=head, states=states, groups=groups, **more)
    p = in_float64(spec)
    layer = gated_delta_net if delta else partial(mamba2, norm_groups=norms)
    with jax.enable_x64(True):
        found, _ = jax.jit(partial(layer, chunk=chunk))(p, x)
    q, k, v = (mixed(p, x, name) for name in "qkv")
    step = np.log1p(np.exp(x @ p["step"]["w"] + p["step"]["b"]))
    gate = silu(np.einsum("td,dhp->thp", x, p["gate"]["w"]))
    unit = lambda a: a / np.sqrt((a**2).sum(-1, keepdims=True) + 1e-6)
    y, rms = (
        np.zeros((t, heads, head)),
        lambda a, axes: a / np.sqrt((a**2).mean(axes, keepdims=True) + 1e-5) * p["norm"]["scale"],
    )
    for h in range(heads):
        state, g = np.zeros((states, head)), h // (heads // groups)
        for i in range(t):
            state = np.exp(-np.exp(p["rate"][h]) * step[i, h]) * state
            if delta:
                key, beta = unit(k[i, g]), 1 / (1 + np.exp(-x[i] @ p["beta"]["w"][:, h]))
                state = state + np.outer(key, beta * (v[i, h] - key @ state))
                y[i, h] = unit(q[i, g]) / states**0.5 @ state
            else:
                state = state + step[i, h] * np.outer(k[i, g], v[i, h])
                y[i, h] = q[i, g] @ state + p["skip"][h] * v[i, h]
    each = [(y * gate)[:, those] for those in np.split(np.arange(heads), norms)]
    bare = [a / np.sqrt((a**2).mean((-2, -1), keepdims=True) + 1e-5) for a in each]
    y = rms(y, -1) * gate if delta else np.concatenate(bare, 1) * p["norm"]["scale"]
    np.testing.assert_allclose(found, np.einsum("thp,hpd->td", y, p["o"]["w"]), rtol=1e-9, atol=1e-9)


def test_s4d_is_its_recurrence():
    x, p = np.random.default_rng(0).normal(size=(9, 4)), in_float64(s4d_spec(4, states=3))
    with jax.enable_x64(True):
        found, carry = jax.jit(s4d)(jax.tree.map(jnp.asarray, p), jnp.asarray(x))
    a, step = -np.exp(p["rate"]) + 1j * p["frequency"], np.exp(p["step"])[:, None]
    c, h = p["c"][..., 0] + 1j * p["c"][..., 1], np.zeros((4, 3), complex)
    for t in range(9):
        h = np.exp(step * a) * h + (np.exp(step * a) - 1) / a * x[t][:, None]
        np.testing.assert_allclose(found[t], 2 * (c * h).sum(-1).real + p["skip"] * x[t], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(carry, h, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("taps", "t"), [(1, 5), (4, 7), (9, 6)])
def test_convolutions_are_torchs_and_the_future_is_rounding_alone(taps, t):
    rng = np.random.default_rng(taps)
    w, x = rng.normal(size=(taps, 3)), rng.normal(size=(2, t, 3))
    padded = torch.nn.functional.pad(torch.tensor(x).transpose(1, 2), (taps - 1, 0))
    expected = torch.nn.functional.conv1d(padded, torch.tensor(w[::-1].copy()).T[:, None], groups=3).transpose(1, 2)
    with jax.enable_x64(True):
        for conv in (short_conv, long_conv):
            np.testing.assert_allclose(jax.jit(conv)(w, x)[0], expected, rtol=1e-9, atol=1e-9)
        early = jax.jit(jax.grad(lambda x: long_conv(jnp.asarray(w), x)[0][:, 0].sum()))(x)
    np.testing.assert_allclose(early[:, 1:], 0, atol=1e-12)


def test_wkv_is_the_papers_sum_with_its_gradient():
    rng = np.random.default_rng(0)
    k, v, decay, bonus = (torch.tensor(rng.normal(size=s), requires_grad=True) for s in ((6, 3), (6, 3), 3, 3))
    ys = []
    for t in range(6):
        past = [torch.exp(k[i] - (t - 1 - i) * decay.abs()) for i in range(t)]
        weights = torch.stack([*past, torch.exp(bonus + k[t])])
        ys.append((weights * v[: t + 1]).sum(0) / weights.sum(0))
    expected, toward = torch.stack(ys), rng.normal(size=(6, 3))
    (expected * torch.tensor(toward)).sum().backward()

    def ours(k, v, decay, bonus):
        y, _ = wkv(k, v, jnp.abs(decay), bonus)
        return jnp.sum(y * toward), y

    leaves = (k, v, decay, bonus)
    with jax.enable_x64(True):
        arrays = [jnp.asarray(a.detach().numpy()) for a in leaves]
        grads, y = jax.jit(jax.grad(ours, (0, 1, 2, 3), has_aux=True))(*arrays)
        large, _ = jax.jit(lambda k, v, decay, bonus: wkv(k + 1e4, v, jnp.abs(decay), bonus))(*arrays)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(large, y, rtol=1e-9)  # keys count by their differences
    for found, wanted in zip(grads, leaves, strict=True):
        np.testing.assert_allclose(found, wanted.grad.numpy(), rtol=1e-8, atol=1e-12)


A = jnp.ones((5, 2, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linear_attention(A, A[:4], A), r"expected q and k \(..., t, heads, n\)"),
        (lambda: linear_attention(A, A, A, jnp.ones(5)), r"expected decay \(5, 2\), found float32\[5\]"),
        (lambda: linear_attention(A, A, A, state=jnp.ones(3)), r"expected a state of \(2, 3, 3\)"),
        (lambda: linear_attention(A, A, A, chunk=0), r"a positive chunk of rows"),
        (lambda: short_conv(jnp.ones((4, 3)), A, jnp.ones((2, 3))), r"short_conv: expected a past of \(5, 3, 3\)"),
        (
            lambda: mamba2(in_float64(mamba2_spec(4, 3, head=2, states=2)), jnp.ones((5, 4)), norm_groups=2),
            r"mamba2: expected norm_groups that divide the 3 heads, found 2",
        ),
        (lambda: mamba2_spec(4, 3, head=2, states=2, groups=2), r"mamba2_spec: 2 groups do not divide 3 heads"),
        (lambda: wkv(A, A[:4], jnp.ones(3), jnp.ones(3)), r"wkv: expected equal shapes"),
        (lambda: wkv(A, A, jnp.ones(2), jnp.ones(3)), r"wkv: expected decay \(3,\), found float32\[2\]"),
        (partial(s4d, {}, A), r"s4d: expected params"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "spec", "largest"),
    [
        (mamba2, mamba2_spec(8, 2, head=8, states=4), 1e7),
        (gated_delta_net, gated_delta_net_spec(8, 2, head=4, states=4), 1e9),
    ],
    ids=["mamba2", "gated_delta_net"],
)
def test_large_inputs_are_finite_as_far_as_the_docstring_says(layer, spec, largest):
    run = jax.jit(jax.value_and_grad(lambda p, x: layer(p, x)[0].sum(), argnums=(0, 1)))
    for seed in range(6):
        keys = jax.random.split(jax.random.key(seed))
        found = run(init(spec, keys[0]), largest * jax.random.normal(keys[1], (4, 9, 8)))
        assert all(np.isfinite(a).all() for a in jax.tree.leaves(found))
