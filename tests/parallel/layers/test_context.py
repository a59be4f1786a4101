"""Attention with time on an axis of the mesh, by ring and by heads: attend's values, gradients; what moves; memory."""

import functools
import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jnn
from jnn.layers import dot_product_attention
from jnn.parallel import layout, put_batch, ring_attention, sharded_state, sharded_step, ulysses_attention
from jnn.parallel.layers._model_parallel import model_parallel
from jnn.train import LossOutput, create_state, make_step
from tests.parallel.sharing import assert_close, moved, some, value_and_gradients

WAYS = pytest.mark.parametrize("way", [ring_attention, ulysses_attention])
slowly = lambda *values: pytest.param(*values, marks=pytest.mark.slow)


def qkv(t=32, s=None, heads=8, groups=2, size=4, batch=2, dtype=jnp.float32):
    one, two, three = jax.random.split(jax.random.key(0), 3)
    draw = lambda key, *shape: jax.random.normal(key, shape, dtype)
    return (
        draw(one, batch, t, heads, size),
        draw(two, batch, s or t, groups, size),
        draw(three, batch, s or t, groups, size),
    )


MASKS = {
    None: None,
    "packed": jnn.layers.segment_mask(jnp.arange(32)[None] // jnp.array([[5], [9]])),
    "lengths": jnn.layers.length_mask(jnp.array([20, 3]), 32),
    "any": jax.random.bernoulli(jax.random.key(1), 0.1, (32, 32)),
}


@functools.cache
def attended(mask=None, **how):
    return jax.jit(partial(value_and_gradients, lambda q, k, v: dot_product_attention(q, k, v, MASKS[mask], **how)))(
        *qkv()
    )


@pytest.mark.parametrize(
    ("way", "text", "how"),
    [
        (ring_attention, "context=1", {"causal": True}),
        slowly(ring_attention, "context=2", {"causal": True}),
        slowly(ring_attention, "context=4", {"causal": True}),
        (ring_attention, "context=8", {"causal": True}),
        (ring_attention, "data=2,context=2,tensor=2", {"causal": True}),
        (ring_attention, "context=4", {"causal": False}),
        (ring_attention, "context=4", {"causal": True, "window": 5}),
        (ulysses_attention, "context=8", {"causal": True}),
        (ulysses_attention, "data=2,context=2,tensor=2", {"causal": True}),
    ],
)
def test_it_is_attend_on_any_number_of_devices(way, text, how):
    ours = partial(value_and_gradients, partial(way, mesh=some(text), **how))
    assert_close(jax.jit(ours)(*qkv()), attended(**how))


@pytest.mark.parametrize(
    ("way", "mask", "causal"),
    [
        (ring_attention, "packed", True),
        (ring_attention, "lengths", False),
        (ring_attention, "any", True),
        (ulysses_attention, "packed", True),
    ],
)
def test_it_is_attend_under_any_mask(way, mask, causal):
    ours = lambda q, k, v: way(q, k, v, MASKS[mask], mesh=some("data=2,context=4"), causal=causal)
    assert_close(jax.jit(partial(value_and_gradients, ours))(*qkv()), attended(mask, causal=causal))


@WAYS
def test_queries_may_look_at_another_sequence_and_come_without_leading_axes(way):
    args = tuple(a[0] for a in qkv(16, 24))
    ours = partial(value_and_gradients, partial(way, mesh=some("context=4")))
    assert_close(jax.jit(ours)(*args), jax.jit(partial(value_and_gradients, dot_product_attention))(*args))


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
    exact = jax.jit(partial(dot_product_attention, causal=True))(*(a.astype(jnp.float32) for a in args))
    assert_close(y, exact, 0.03)


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
    assert set(moved(compiled(ulysses_attention, "context=8", 64, gradient=False, causal=True))) == {"all-to-all"}


@pytest.mark.parametrize("numbers", [(1, 8), slowly((1, 2, 4, 8))])
def test_each_devices_memory_falls_with_their_number(numbers):
    """By almost a half whenever it doubles."""
    used = {
        n: compiled(ring_attention, f"context={n}", 512, causal=True).memory_analysis().temp_size_in_bytes
        for n in numbers
    }
    for few, many in itertools.pairwise(numbers):
        assert used[many] < 0.55 ** math.log2(many / few) * used[few], used


SPEC, OPTIMIZER, KEY = (
    jnn.models.transformer_spec(11, 16, layers=2, heads=4, embed=8),
    optax.sgd(0.5),
    jax.random.key(0),
)


def loss(params, batch, ctx):
    logits = jnn.models.transformer(params, batch["x"], key=None)
    return LossOutput(jnn.losses.cross_entropy(logits, batch["y"]))


def batch_of():
    tokens = np.random.default_rng(0).integers(0, 11, (4, 17)).astype(np.int32)
    return {"x": tokens[:, :-1], "y": tokens[:, 1:]}


def trained(step, state, batch):
    """The params after two steps, and the last loss."""
    for _ in range(2):
        state, metrics = step(state, batch)
    return state.params, metrics["loss"].value()


@pytest.fixture(scope="module")
def alone():
    return trained(make_step(loss, OPTIMIZER, KEY), create_state(jnn.init(SPEC, KEY), OPTIMIZER), batch_of())


@pytest.mark.parametrize(
    ("context", "moves", "never"),
    [("ring", "collective-permute", "all-to-all"), ("heads", "all-to-all", "collective-permute")],
)
def test_a_model_that_knows_of_no_mesh_trains_as_on_one_device(alone, context, moves, never):
    place = layout(SPEC, some("data=2,context=4"))
    state, batch = sharded_state(OPTIMIZER, KEY, place), put_batch(batch_of(), place)
    step = sharded_step(model_parallel(place.mesh, context=context)(loss), OPTIMIZER, KEY, place)
    compiled = step.lower(state, batch).compile()
    assert moves in compiled.as_text()
    assert never not in compiled.as_text()
    assert_close(trained(compiled, state, batch), alone)


@pytest.mark.parametrize(
    ("way", "args", "how", "message"),
    [
        (ring_attention, qkv(), {"axis": "tensor"}, "ring_attention: the mesh has axes context, no 'tensor'"),
        (ring_attention, qkv(12), {"causal": True}, "multiples of 8, two for each device; found q float32"),
        (ring_attention, qkv(10), {}, "multiples of 4, the number of devices; found q float32"),
        (ring_attention, qkv(16, 32), {"causal": True}, "causal is for queries and keys of one sequence"),
        (ulysses_attention, qkv(heads=6), {}, "4 devices do not divide the heads; found .* Use ring_attention"),
        (ulysses_attention, qkv(10), {}, "4 devices do not divide the times"),
        (ulysses_attention, qkv(), {"axis": "tensor"}, "ulysses_attention: the mesh has axes context, no 'tensor'"),
    ],
)
def test_bad_input_is_one_clear_error(way, args, how, message):
    with pytest.raises(ValueError, match=message):
        way(*args, mesh=some("context=4"), **how)


def test_an_unknown_way_to_share_time_is_an_error():
    with pytest.raises(ValueError, match="model_parallel: context is 'ring' or 'heads', found 'tiles'"):
        model_parallel(some("context=2"), context="tiles")
