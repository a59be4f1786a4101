"""Attention with time on an axis of the mesh, by ring and by heads: attend's values, gradients; what moves; memory."""

import functools
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jnn
from jnn.layers import attend
from jnn.parallel import layout, put_batch, sharded_state, sharded_step
from jnn.parallel.layers.ring import ring_attention
from jnn.parallel.layers.spread import spread
from jnn.parallel.layers.ulysses import heads_attention
from jnn.train import LossOutput, create_state, make_step
from tests.parallel.sharing import assert_close, moved, some, value_and_gradients

WAYS = pytest.mark.parametrize("way", [ring_attention, heads_attention])


def qkv(t=32, s=None, heads=8, groups=2, size=4, batch=2, dtype=jnp.float32):
    one, two, three = jax.random.split(jax.random.key(0), 3)
    draw = lambda key, *shape: jax.random.normal(key, shape, dtype)
    return (
        draw(one, batch, t, heads, size),
        draw(two, batch, s or t, groups, size),
        draw(three, batch, s or t, groups, size),
    )


def packed(t=32):
    segments = jnp.arange(t)[None] // jnp.array([[5], [9]])
    return jnn.layers.segment_mask(segments)


@functools.cache
def attended(**how):
    return jax.jit(partial(value_and_gradients, partial(attend, **how)))(*qkv())


@pytest.mark.parametrize(
    ("way", "text", "how"),
    [
        *[(ring_attention, f"context={n}", {"causal": True}) for n in (1, 2, 4, 8)],
        (ring_attention, "data=2,context=2,tensor=2", {"causal": True}),
        (ring_attention, "context=4", {"causal": False}),
        (ring_attention, "context=4", {"causal": True, "window": 5}),
        (heads_attention, "context=8", {"causal": True}),
        (heads_attention, "data=2,context=2,tensor=2", {"causal": True}),
    ],
)
def test_it_is_attend_on_any_number_of_devices(way, text, how):
    ours = partial(value_and_gradients, partial(way, mesh=some(text), **how))
    assert_close(jax.jit(ours)(*qkv()), attended(**how))


@pytest.mark.parametrize(
    ("way", "mask", "causal"),
    [
        (ring_attention, packed(), True),
        (ring_attention, jnn.layers.length_mask(jnp.array([20, 3]), 32), False),
        (ring_attention, jax.random.bernoulli(jax.random.key(1), 0.1, (32, 32)), True),
        (heads_attention, packed(), True),
    ],
    ids=["packed", "lengths", "any", "packed-heads"],
)
def test_it_is_attend_under_any_mask(way, mask, causal):
    args, mesh = qkv(), some("data=2,context=4")
    whole = jax.jit(partial(value_and_gradients, lambda q, k, v: attend(q, k, v, mask, causal=causal)))(*args)
    ours = lambda q, k, v: way(q, k, v, mask, mesh=mesh, causal=causal)
    assert_close(jax.jit(partial(value_and_gradients, ours))(*args), whole)


@WAYS
def test_queries_may_look_at_another_sequence_and_come_without_leading_axes(way):
    args = tuple(a[0] for a in qkv(16, 24))
    ours = partial(value_and_gradients, partial(way, mesh=some("context=4")))
    assert_close(jax.jit(ours)(*args), value_and_gradients(attend, *args))


@WAYS
def test_with_causal_a_row_has_no_gradient_from_later_ones(way):
    q, k, v = qkv()

    @jax.jit
    def gradient(i):
        row = lambda v: jax.lax.dynamic_index_in_dim(way(q, k, v, mesh=some("context=4"), causal=True), i, 1).sum()
        return jax.grad(row)(v)

    for i in (0, 13, 31):
        grad = gradient(i)
        assert grad[:, : i + 1].any(axis=(0, 2, 3)).all()
        assert not grad[:, i + 1 :].any()


@WAYS
def test_a_query_that_may_attend_to_nothing_gets_zeros_and_gives_no_gradient(way):
    mask = jnp.arange(32)[:, None] % 3 != 0
    ours = lambda q, k, v: way(q, k, v, mask, mesh=some("context=4"))
    (_, y), (dq, _, _) = jax.jit(partial(value_and_gradients, ours))(*qkv())
    assert not y[:, ::3].any()
    assert not dq[:, ::3].any()


@WAYS
def test_in_bfloat16_sums_are_in_float32(way):
    args = qkv(dtype=jnp.bfloat16)
    y = jax.jit(partial(way, mesh=some("context=8"), causal=True))(*args)
    assert y.dtype == jnp.bfloat16
    assert_close(y, attend(*(a.astype(jnp.float32) for a in args), causal=True), 0.03)


def compiled(way, text, t, gradient=True, **how):
    mesh = some(text)
    place = NamedSharding(mesh, PartitionSpec(None, "context"))
    args = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place) for a in jax.eval_shape(partial(qkv, t))]
    f = lambda *args: way(*args, mesh=mesh, **how)
    return jax.jit(partial(value_and_gradients, f) if gradient else f).lower(*args).compile()


@pytest.mark.parametrize("causal", [True, False])
def test_what_moves_in_a_ring_are_permutations_alone(causal):
    forward = moved(compiled(ring_attention, "context=8", 64, gradient=False, causal=causal))
    # k and v: under way before the loop, and in it; causal: two for each of q, k, v and y change the order
    assert forward == {"collective-permute": 4 + 8 * causal}


def test_what_moves_between_heads_and_time_are_exchanges_alone():
    assert set(moved(compiled(heads_attention, "context=8", 64, gradient=False, causal=True))) == {"all-to-all"}


def test_each_devices_memory_falls_with_their_number():
    used = [
        compiled(ring_attention, f"context={n}", 512, causal=True).memory_analysis().temp_size_in_bytes
        for n in (1, 2, 4, 8)
    ]
    assert all(later < 0.55 * former for former, later in itertools.pairwise(used)), used


@pytest.mark.parametrize("context", ["ring", "heads"])
def test_a_model_that_knows_of_no_mesh_trains_as_on_one_device(context):
    spec = jnn.models.transformer_spec(11, 16, layers=2, heads=4, embed=16)

    def loss(params, batch, ctx):
        logits = jnn.models.transformer(params, batch["x"], key=ctx.key, rate=0.1)
        return LossOutput(jnn.losses.cross_entropy(logits, batch["y"]))

    tokens = np.random.default_rng(0).integers(0, 11, (4, 17)).astype(np.int32)
    batch, optimizer, key = {"x": tokens[:, :-1], "y": tokens[:, 1:]}, optax.sgd(0.5), jax.random.key(0)
    place = layout(spec, some("data=2,context=4"))
    state = sharded_state(optimizer, key, place)
    step = sharded_step(spread(place.mesh, context=context)(loss), optimizer, key, place)
    if context == "ring":
        text = step.lower(state, put_batch(batch, place)).compile().as_text()
        assert "collective-permute" in text
        assert "all-to-all" not in text
    alone, step_alone = create_state(jnn.init(spec, key), optimizer), make_step(loss, optimizer, key)
    for _ in range(2):
        state, metrics = step(state, batch)
        alone, metrics_alone = step_alone(alone, batch)
    assert_close((state.params, metrics["loss"].value()), (alone.params, metrics_alone["loss"].value()))


@pytest.mark.parametrize(
    ("way", "args", "how", "message"),
    [
        (ring_attention, qkv(), {"axis": "tensor"}, "ring_attention: the mesh has axes context, no 'tensor'"),
        (ring_attention, qkv(12), {"causal": True}, "multiples of 8, two for each device; found q float32"),
        (ring_attention, qkv(10), {}, "multiples of 4, the number of devices; found q float32"),
        (ring_attention, qkv(16, 32), {"causal": True}, "causal is for queries and keys of one sequence"),
        (heads_attention, qkv(heads=6), {}, "4 devices do not divide the heads; found .* Use ring_attention"),
        (heads_attention, qkv(10), {}, "4 devices do not divide the times"),
        (heads_attention, qkv(), {"axis": "tensor"}, "heads_attention: the mesh has axes context, no 'tensor'"),
    ],
)
def test_bad_input_is_one_clear_error(way, args, how, message):
    with pytest.raises(ValueError, match=message):
        way(*args, mesh=some("context=4"), **how)


def test_an_unknown_way_to_share_time_is_an_error():
    with pytest.raises(ValueError, match="spread: context is 'ring' or 'heads', found 'tiles'"):
        spread(some("context=2"), context="tiles")
