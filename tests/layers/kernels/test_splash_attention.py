"""Splash attention on TPUs: its numerics by interpretation, its FLOPs, where it refuses, and that it compiles."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas.ops.tpu import splash_attention
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jnn import backend
from jnn.axes import use_layout
from jnn.inspect import Expect, flops, kernels, memory
from jnn.layers import dot_product_attention
from jnn.layers.kernels._attention import no_splash
from jnn.parallel import layout, mesh
from jnn.preflight import has_libtpu, topology
from tests.layers.kernels.queries import K, Q, S, normal, value_and_gradients


@pytest.fixture
def interpreted(monkeypatch):
    """Pallas kernels run on this machine's CPU."""
    make = functools.partial(splash_attention.make_splash_mha, interpret=True)
    monkeypatch.setattr(splash_attention, "make_splash_mha", make)


CASES = {
    "causal, two key heads for four": (normal(256, 256, 4, 2, 16, 2), {"causal": True}),
    "a causal window": (normal(256, 256, 2, 1, 32), {"causal": True, "window": 70}),
    "a window on both sides": (normal(256, 256, 1, 1, 16), {"window": 130}),
    "all of another sequence": (normal(128, 384, 2, 2, 48, 1, 2), {}),
    "causal over more keys": (normal(128, 256, 1, 1, 16), {"causal": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_splash_attention_is_attend(case, interpreted):
    """Interpreted, on a CPU: values and gradients are those of the plain formulation."""
    args, how = CASES[case]
    compiled = lambda: jax.jit(functools.partial(value_and_gradients, **how))  # each traced for a target of its own
    expected = compiled()(*args)
    with backend.target("tpu"), backend.recording() as chosen:
        found = compiled()(*args)
    assert {str(choice) for choice in chosen} == {"attention: splash"}
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("text", ["data=2,fsdp=2,tensor=2", "tensor=2,context=4"])
def test_on_a_mesh_each_device_runs_it_on_its_rows_and_heads(text, interpreted):
    args = normal(128, 128, 4, 2, 16, 4)
    compiled = lambda: jax.jit(functools.partial(value_and_gradients, causal=True))
    expected = compiled()(*args)
    place = layout({}, text)
    with use_layout(place), backend.target("tpu"):
        found = jax.block_until_ready(compiled()(*args))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_in_bfloat16_sums_are_in_float32(interpreted):
    low = normal(128, 128, 1, 1, 16, dtype=jnp.bfloat16)
    exact = dot_product_attention(*(a.astype(jnp.float32) for a in low), causal=True)
    with backend.target("tpu"):
        found = dot_product_attention(*low, causal=True)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), exact, atol=0.02)


def test_its_flops_are_those_of_the_plain_formulation():
    args = normal(256, 256, 4, 2, 16, 2)
    run = lambda *a: value_and_gradients(*a, causal=True)
    plain = flops(run, *args)
    with backend.target("tpu"):
        fused = flops(run, *args)
    assert fused.notes == ()
    rows = 2 * 2 * 256 * 4 * 16  # the gradient's sum over each row's answer, which no model counts but this kernel has
    assert fused.model == plain.model + rows
    assert fused.hardware == plain.model * 9 // 6 + rows  # of nine products, three are computed a second time


@pytest.mark.parametrize(
    ("q", "k", "how", "why"),
    [
        (Q, K, {"mask": S((256, 256), jnp.bool_)}, "it takes no mask that is an array"),
        (S((2, 100, 4, 64), jnp.bfloat16), K, {}, "found 100 queries and 256 keys, it takes multiples of 128"),
        (S((2, 256, 4, 40), jnp.bfloat16), K, {}, "found heads of 40, it takes multiples of 16 up to 256"),
        (S((2, 256, 4, 64), jnp.float16), K, {}, "found float16, it takes float32 and bfloat16"),
        (
            S((2, 128, 4, 64), jnp.bfloat16),
            K,
            {"window": 9},
            "found a window over 128 queries and 256 keys, it takes as",
        ),
        (Q, K, {"window": 9}, ""),
    ],
)
def test_what_splash_attention_refuses(q, k, how, why):
    with backend.target("tpu"):
        assert no_splash(q, k, **{"mask": None, "window": None} | how).startswith(why)


def test_devices_that_a_kernel_cannot_be_shared_among(monkeypatch):
    with backend.target("tpu"):
        with use_layout(layout({}, "tensor=4,data=2", activations={"kv_heads": None})):
            assert no_splash(Q, K, None, window=None) == "devices share 4 heads otherwise than 2 key-value heads"
        both = jax.make_mesh((2, 4), ("data", "tensor"), axis_types=(AxisType.Auto,) * 2)
        found = []
        within = jax.shard_map(
            lambda x: found.append(no_splash(Q, K, None, window=None)) or x,
            mesh=both, in_specs=P("data"), out_specs=P("data"), axis_names={"data"},
        )  # fmt: skip
        jax.eval_shape(within, S((2,), jnp.float32))
        assert found == ["within a shard_map that leaves tensor to the compiler"]
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert no_splash(Q, K, None, window=None).startswith("there are 8 devices, and no layout")


def test_a_refusal_is_recorded_and_the_plain_formulation_runs():
    args = normal(5, 5, 2, 2, 4)
    with backend.target("tpu"), backend.recording() as chosen:
        np.testing.assert_allclose(dot_product_attention(*args), dot_product_attention(*args), rtol=1e-6)
    assert (str(chosen[0]), chosen[0].why) == (
        "attention: fused",
        "no splash here: found 5 queries and 5 keys, it takes multiples of 128",
    )


@pytest.mark.skipif(not has_libtpu(), reason="no libtpu: pip install 'jnn[tpu]', or name one in TPU_LIBRARY_PATH")
@pytest.mark.parametrize("text", ["data=1", "data=2,tensor=2"])
def test_it_compiles_for_a_tpu_and_holds_no_scores(text):
    """Ahead of time, values and gradients, on one chip of a v5e and on four."""
    devices = topology("v5e:2x2").devices[: 4 if "," in text else 1]
    place = layout({}, mesh(text, devices))
    where = place.activation((4, 1024, 4, 64), (None, "heads", "head"))
    spec = P(*[None if rule is P.UNCONSTRAINED else rule for rule in where.spec])
    q = S((4, 1024, 4, 64), jnp.bfloat16, sharding=NamedSharding(place.mesh, spec))
    run = jax.jit(lambda *a: value_and_gradients(*a, causal=True))
    with backend.target("tpu"), use_layout(place):
        ledger = kernels(run, q, q, q, strict=True, expect=Expect(attention="fused"))
        held = memory(run.lower(q, q, q).compile())
    assert {(row.op, row.runs) for row in ledger.rows} == {("attention", "Pallas Mosaic")}
    assert {str(choice) for row in ledger.rows for choice in row.chosen} == {"attention: splash"}
    assert held.temporaries < 4 * 4 * 1024 * 1024 * 4 / len(devices)  # the scores alone, in float32
