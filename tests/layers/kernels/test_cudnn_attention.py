"""cuDNN's attention on GPUs: where it refuses, by JAX's own checks too, and that it compiles."""

import functools
import importlib.util
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.cudnn import fused_attention_stablehlo  # its checks; the public door runs them on a GPU alone
from jax.sharding import SingleDeviceSharding

from jnn import backend
from jnn.inspect import Expect, kernels
from jnn.layers.kernels._attention import _cudnn_refuses, no_cudnn
from jnn.preflight import topology
from tests.layers.kernels.queries import K, Q, S, normal, value_and_gradients


@pytest.mark.parametrize(
    ("q", "k", "how", "why"),
    [
        (S(Q.shape, jnp.float32), K, {}, "found float32, it takes float16 and bfloat16"),
        (S((2, 256, 4, 60), jnp.bfloat16), K, {}, "found heads of 60, it takes multiples of 8 up to 128"),
        (Q, S(K.shape, jnp.float16), {}, "found queries of bfloat16 and keys of float16, it takes one dtype"),
        (
            S((2, 255, 4, 64), jnp.bfloat16),
            K,
            {"mask": S((255, 256), jnp.bool_)},
            "found 255 queries and 256 keys, its",
        ),
        (
            S((1, 1, 4, 64), jnp.bfloat16),
            S((1, 1, 4, 64), jnp.bfloat16),
            {"causal": True},
            "found 1 queries and 1 keys",
        ),
        (S((2, 0, 4, 64), jnp.bfloat16), K, {}, "found 0 queries and 256 keys, it takes some"),
        (S((2, 128, 4, 64), jnp.bfloat16), K, {"causal": True}, "found causality over 128 queries and 256 keys"),
        (Q, K, {"window": 9}, "it takes no window that looks ahead"),
    ],
)
def test_what_cudnn_refuses(q, k, how, why):
    assert no_cudnn(q, k, **{"mask": None, "window": None, "causal": False} | how).startswith(why)


@pytest.fixture
def has_cudnn(monkeypatch):
    """JAX's own checks of a request, as where there is cuDNN; nothing can run."""
    monkeypatch.setattr(fused_attention_stablehlo, "check_cudnn_version", lambda: 91200)
    _cudnn_refuses.cache_clear()
    yield
    _cudnn_refuses.cache_clear()


GRID = list(itertools.product((0, 1, 2, 127, 128), (0, 1, 2, 128), (4, 8, 20, 128, 136), (False, True), (None, 5)))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_no_request_that_jax_refuses_reaches_cudnn(dtype, masked, has_cudnn):
    """Over a grid of shapes, by JAX's own checks: whatever is not refused here traces, with its gradient."""
    taken = 0
    for t, s, size, causal, window in GRID:
        q, k = S((3, t, 4, size), dtype), S((3, s, 2, size), dtype)
        mask = S((3, t, s), jnp.bool_) if masked else None
        if not no_cudnn(q, k, mask, causal=causal, window=window):
            run = functools.partial(value_and_gradients, causal=causal, window=window)
            with backend.target("gpu"), backend.recording() as chosen:
                jax.eval_shape(lambda q, k, v, m, run=run: run(q, k, v, mask=m), q, k, k, mask)
            assert [str(choice) for choice in chosen] == ["attention: cudnn"]
            taken += 1
    assert taken == (
        0 if dtype == jnp.float32 else 2 * (2 * 2 + 4)
    )  # heads of 8 and 128; causal over 2, 2 and 128, 128


@pytest.mark.parametrize(("t", "s"), [(1, 1), (3, 3), (1, 2)])
def test_what_cudnn_refuses_runs_in_the_plain_formulation(t, s, has_cudnn):
    args = normal(t, s, 4, 2, 8, 3, dtype=jnp.bfloat16)
    compiled = lambda: jax.jit(functools.partial(value_and_gradients, causal=t == s))  # traced for each target
    with backend.target("gpu"), backend.recording() as chosen:
        found = compiled()(*args)
    assert [(str(choice), choice.refused) for choice in chosen] == [("attention: fused", True)]
    for a, b in zip(found, compiled()(*args), strict=True):
        np.testing.assert_allclose(a.astype(jnp.float32), b.astype(jnp.float32), rtol=0.02, atol=0.02)


def test_what_jax_says_beyond_our_own_rows_is_the_reason(monkeypatch, has_cudnn):
    def picky(*args):
        raise NotImplementedError("Compute capability 10.3 requires cuDNN version >= 9.11.")

    monkeypatch.setattr(fused_attention_stablehlo, "check_is_flash_attention", picky)
    with backend.target("gpu"):
        assert no_cudnn(Q, K, None, causal=False, window=None).startswith("Compute capability 10.3 requires")


@pytest.mark.skipif(
    not any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13)),
    reason="no CUDA compiler: pip install 'jnn[cuda]'",
)
@pytest.mark.parametrize("how", [{"causal": True}, {"causal": True, "window": 100}, {}])
def test_cudnn_compiles_for_an_h100(how):
    place = SingleDeviceSharding(topology("h100:1").devices[0])
    q = S((2, 256, 4, 64), jnp.bfloat16, sharding=place)
    run = jax.jit(lambda *a: value_and_gradients(*a, **how))
    with backend.target("cuda"):
        ledger = kernels(run, q, q, q, strict=True, expect=Expect(attention="fused"))
    assert {(row.op, row.runs) for row in ledger.rows} == {("attention", "cuDNN attention")}
