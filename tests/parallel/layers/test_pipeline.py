"""The pipeline is the scan over the layers: values, gradients, noise, products with other axes; what moves; errors."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.axes import constrain, gather, use_layout
from jnn.inspect import flops
from jnn.layers import (
    attention,
    attention_spec,
    dropout,
    layer_norm,
    layer_norm_spec,
    linear,
    linear_spec,
    mixture_of_experts,
    mixture_of_experts_spec,
    scan_layers,
)
from jnn.models import mlp, transformer
from jnn.parallel import compressed_sums, layout, pipeline, sharded_state, sharded_step
from jnn.parallel._shard_map import shard_map
from jnn.parallel.layers._model_parallel import model_parallel
from jnn.remat import remat_layer
from tests.parallel.models import MLP, TRANSFORMER
from tests.parallel.sharing import assert_close, moved, some, value_and_gradients

BLOCK = {
    "norm": layer_norm_spec(6),
    "up": linear_spec(6, 12),
    "down": linear_spec(12, 6, axes=("hidden", "embed")),
}
SPEC = jnn.stack(BLOCK, 8)


def block(p, x):
    h = constrain(jnp.tanh(linear(p["up"], layer_norm(p["norm"], x))), "time", "hidden")
    return constrain(x + linear(p["down"], h), "time", "embed")


def scanned(layer, stacked, x):
    return jax.lax.scan(lambda x, p: (layer(p, x), None), x, stacked)[0]


@functools.cache
def arguments(dtype=jnp.float32):
    return jnn.init(SPEC, jax.random.key(0)), jax.random.normal(jax.random.key(1), (8, 4, 6), dtype)


@functools.cache
def alone(dtype=jnp.float32):
    return jax.jit(partial(value_and_gradients, partial(scanned, block)))(*arguments(dtype))


@pytest.mark.parametrize(
    ("text", "microbatches", "repeats"),
    [
        ("stage=8", 8, 1),
        ("stage=4", 4, 2),
        ("stage=2,data=2,tensor=2", 4, 2),
        pytest.param("stage=4,fsdp=2", 4, 1, marks=pytest.mark.slow),
    ],
)
def test_it_is_the_scan_over_the_layers(text, microbatches, repeats):
    p, x = arguments()
    place = layout(SPEC, some(text))
    ours = lambda p, x: pipeline(block, p, x, place, microbatches=microbatches, repeats=repeats)
    with use_layout(place):
        p, x = jax.device_put(p, place.parameters), jax.device_put(x, place.batch())
        found = jax.jit(partial(value_and_gradients, ours))(p, x)
    assert_close(found, alone())


def test_a_policy_that_remembers_linear_maps_does_so_on_every_stage():
    p, x = arguments()

    def computed(remat):
        layer = remat_layer(remat)(lambda p, x: linear(p["down"], jnp.tanh(linear(p["up"], x))))
        return flops(
            jax.grad(lambda p: jnp.sum(pipeline(layer, p, x, some("stage=4"), microbatches=4) ** 2)), p
        ).hardware

    assert computed(None) == computed("dots") < computed("full")


MIXED = {"attention": attention_spec(8, 4), "norm": layer_norm_spec(8), "experts": mixture_of_experts_spec(8, 8, 4)}
MIXED = {"blocks": jnn.stack(MIXED, 2), "last": mixture_of_experts_spec(8, 8, 4)}


def mixed(params, x):
    """Layers that attend and have experts, and experts behind them; no word of a mesh."""

    def layer(p, x, key, _):
        x = x + attention(p["attention"], layer_norm(p["norm"], x), causal=True)
        return constrain(x + mixture_of_experts(p["experts"], x, top=2)[0], "time", "embed")

    x = constrain(x, "time", "embed")
    x = scan_layers(layer, params["blocks"], x, "time", "embed", path="blocks", remat="full")
    return constrain(mixture_of_experts(gather(params["last"], "last"), x, top=1)[0], "time", "embed")


def inputs():
    return jnn.init(MIXED, jax.random.key(0)), jax.random.normal(jax.random.key(1), (16, 8, 8))


@functools.cache
def mixed_alone():
    return jax.jit(partial(value_and_gradients, mixed))(*inputs())


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("stage=2,expert=2,context=2", {"context": "heads"}),
        *[
            pytest.param(*row, marks=pytest.mark.slow)
            for row in [
                ("stage=2,data=2,context=2", {}),
                ("stage=2,context=2,tensor=2", {"context": "heads"}),
                ("stage=2,fsdp=2,expert=2", {"microbatches": 2}),
                ("stage=2,expert=2,context=2", {}),
                ("stage=2,expert=2,tensor=2", {}),
                ("stage=2,data=2,context=2", {"context": "heads"}),
                ("stage=2,fsdp=2,context=2", {}),
            ]
        ],
    ],
)
def test_law_any_product_of_axes_is_one_device(text, how):
    p, x = inputs()
    place = layout(MIXED, some(text))
    with use_layout(place), model_parallel(place.mesh, **how):
        p, x = jax.device_put(p, place.parameters), jax.device_put(x, place.batch())
        found = jax.jit(partial(value_and_gradients, mixed))(p, x)
    assert_close(found, mixed_alone())  # which knows of no mesh


def test_within_a_slice_sumss_are_those_of_its_own_rows():
    """Where a gradient is taken inside of a `shard_map`, ring attention and stages are there too."""
    mesh, x = some("slice=2,stage=2,context=2"), jax.random.normal(jax.random.key(0), (8, 4, 2, 3))
    layer = lambda p, x, *_: jnn.layers.dot_product_attention(x, p * x, x, causal=True)
    f = lambda p, x: (scan_layers(layer, p, x, "time", "heads", "head") ** 2).sum()
    p, each = jnp.arange(1.0, 3.0)[:, None, None, None, None], jax.P("slice")
    gradient = model_parallel(mesh, microbatches=2)(jax.grad(f))
    ours = shard_map(mesh, "slice", (jax.P(), each), each, check_vma=False)(lambda p, x: gradient(p, x)[None])
    theirs = jax.jit(jax.vmap(jax.grad(f), in_axes=(None, 0)))(p, x.reshape(2, 4, *x.shape[1:]))
    assert_close(jax.jit(ours)(p, x), theirs)


@pytest.mark.slow
def test_slices_have_stages_and_time_of_their_own():
    """Losses of two steps: gradients between slices in bfloat16, whatever is shared within a slice."""

    def losses(text):
        place, optimizer, key = layout(TRANSFORMER.spec, some(text)), optax.sgd(0.1), jax.random.key(0)
        step = sharded_step(TRANSFORMER.loss, optimizer, key, place, sums=compressed_sums(place))
        state, found = sharded_state(optimizer, key, place), []
        for i in range(2):
            batch = {name: x[:, :4] if x.ndim > 1 else x for name, x in TRANSFORMER.batch(seed=i).items()}
            state, metrics = step(state, batch)
            found.append(metrics["loss"].value())
        return found

    assert_close(losses("slice=2,stage=2,context=2"), losses("slice=2"), 1e-4)


def test_under_checkpoint_and_in_bfloat16():
    ours = lambda p, x: pipeline(jax.checkpoint(block), p, x, some("stage=4,data=2"), microbatches=4)
    (_, y), grads = jax.jit(partial(value_and_gradients, ours))(*arguments(jnp.bfloat16))
    (_, expected), expected_grads = alone(jnp.bfloat16)
    assert y.dtype == jnp.bfloat16
    assert_close((y, grads), (expected, expected_grads), 0.05)


def test_an_idle_stage_makes_no_nan():
    singular = lambda p, x: x / jnp.sqrt(jnp.sum(x**2, -1, keepdims=True)) * p[None]  # NaN at 0, as its gradient
    x = 1 + jnp.arange(8.0).reshape(4, 2)
    ours = lambda p, x: pipeline(singular, p, x, some("stage=4"), microbatches=2)
    both = lambda *args: [value_and_gradients(f, *args) for f in (ours, partial(scanned, singular))]
    assert_close(*jax.jit(both)(jnp.ones((4, 2)), x))


def test_a_tree_goes_through_and_every_layer_has_its_own_noise():
    keys = jax.random.split(jax.random.key(0), 4)
    x = {"x": jnp.ones((8, 100)), "shift": jnp.arange(8.0)[:, None]}

    def noisy(key, tree):
        row = dropout(tree["x"], 0.5, key=key, shared_axes=(0,)) + tree["shift"]
        return {"x": row, "shift": tree["shift"]}

    ours = lambda x: pipeline(noisy, keys, x, some("stage=2"), microbatches=4)
    assert_close(*jax.jit(lambda x: (ours(x), scanned(noisy, keys, x)))(x))


def test_noise_is_that_of_all_rows_in_one():
    keys, x = jax.random.split(jax.random.key(0), 4), jnp.ones((16, 3, 6))
    noisy = lambda key, x: constrain(dropout(x, 0.5, key=jax.random.fold_in(key, 1)), "time", "embed")
    whole = jax.jit(lambda x: scanned(noisy, keys, x))(x)
    for text, how in [("stage=2", {"microbatches": 8}), ("stage=2,data=2,tensor=2", {"microbatches": 4, "repeats": 2})]:
        place = layout(SPEC, some(text))
        with use_layout(place):
            ours = jax.jit(lambda x, place=place, how=how: pipeline(noisy, keys, x, place, **how))(x)
        np.testing.assert_array_equal(ours, whole)


def test_a_mask_of_rows_goes_with_them_and_one_for_all_does_not():
    tokens, p = TRANSFORMER.batch()["x"], jnn.init(TRANSFORMER.spec, jax.random.key(0))
    segments = jnp.arange(6)[None] // (1 + jnp.arange(16)[:, None] % 4)
    masks = jnn.layers.segment_mask(segments), jnn.layers.segment_mask(segments[2])
    each = lambda p: [transformer(p, tokens, key=None, mask=mask) for mask in masks]
    whole = jax.jit(each)(p)
    with model_parallel(some("stage=2"), microbatches=2):
        found = jax.jit(each)(p)
    assert_close(found, whole)


def abstract(place, rows=16):
    """Arguments where a layout wants them, from shapes alone."""
    on = lambda a, sharding: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding)
    x = jax.ShapeDtypeStruct((rows, 4, 6), jnp.float32)
    return jax.tree.map(on, jnn.abstract(SPEC), place.parameters), on(x, place.batch())


def test_each_stage_keeps_its_layers_and_rows_and_what_moves_are_permutations_alone():
    place = layout(SPEC, some("stage=8"))
    p, x = abstract(place)
    ours = lambda p, x: pipeline(block, p, x, place, microbatches=16)
    program = jax.jit(partial(value_and_gradients, ours)).lower(p, x).compile()
    # forward and backward: what is handed on, what waits for its turn, what is done; and the sum of the result
    assert moved(program) == {"collective-permute": 6, "all-reduce": 1}
    held = program.memory_analysis().argument_size_in_bytes
    assert held < (sum(a.size * 4 for a in jax.tree.leaves(p)) + x.size * 4) / 8 * 1.1


def test_beside_other_axes_no_parameter_moves_along_the_stages():
    place = layout(SPEC, some("stage=2,fsdp=2,tensor=2"))
    ours = lambda p, x: pipeline(lambda p, x: block(gather(p), x), p, x, place, microbatches=4)
    with use_layout(place):
        program = jax.jit(partial(value_and_gradients, ours)).lower(*abstract(place)).compile()
    along = [c for c in jnn.inspect.collectives(program, place.mesh) if "stage" in c.axes]
    assert {c.kind for c in along} == {"collective-permute", "all-reduce"}
    assert all(c.bytes == 4 for c in along if c.kind == "all-reduce")  # the sum of the result


@functools.cache
def of_each_device(text):
    """The FLOPs of a multilayer perceptron and its gradient."""
    place = layout(MLP.spec, some(text))
    on = lambda a, sharding: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding)
    args = jax.tree.map(on, jnn.abstract(MLP.spec), place.parameters), on(MLP.batch()["x"], place.batch())
    with use_layout(place):
        program = jax.jit(partial(value_and_gradients, partial(mlp, key=None))).lower(*args).compile()
    return program.cost_analysis()["flops"]


@pytest.mark.parametrize("text", ["stage=4", "expert=4"])
def test_devices_that_share_layers_or_experts_share_the_rows_of_what_stands_around(text):
    """Of a model that has neither: each device's FLOPs are as few as those of data-parallel."""
    assert of_each_device(text) == pytest.approx(of_each_device("data=4"), rel=0.01)


def test_idle_ticks_are_computed_and_are_not_the_models():
    p, x = arguments()
    staged = lambda p, x: pipeline(block, p, x, some("stage=2"), microbatches=4)
    ours, theirs = flops(staged, p, x), flops(partial(scanned, block), p, x)
    assert ours.model == theirs.model == theirs.hardware
    assert ours.hardware == theirs.hardware * 5 / 4


@pytest.mark.parametrize(
    ("text", "how", "message"),
    [
        ("data=2", {}, "pipeline: the mesh has axes data, no 'stage'"),
        ("stage=3", {}, r"number of layers that 3 stages \* 1 repeats divide, found \[8\]"),
        ("stage=4", {"repeats": 4, "microbatches": 4}, r"4 stages \* 4 repeats divide, found \[8\]"),
        ("stage=2", {"microbatches": 3}, r"3 micro-batches do not divide the 8 rows of the batch"),
        ("stage=4", {"repeats": 2}, "go in groups of 4, the number of stages; found 2"),
    ],
)
def test_sizes_that_do_not_divide_are_one_clear_error(text, how, message):
    p, x = arguments()
    with pytest.raises(ValueError, match=message):
        pipeline(block, p, x, some(text), **{"microbatches": 2, **how})


def test_a_layer_that_changes_the_shape_is_one_clear_error():
    with pytest.raises(ValueError, match="expected a layer that returns what it is given"):
        pipeline(lambda p, x: x[:, :2], np.ones((2, 3)), np.ones((4, 3)), some("stage=2"), microbatches=2)


def test_micro_batches_that_do_not_divide_each_devices_rows_are_one_clear_error():
    p, x = arguments()
    with (
        use_layout(layout(SPEC, some("stage=2,data=4"))),
        pytest.raises(ValueError, match=r"4 devices of 4 micro-batches each do not divide the 8 rows"),
    ):
        pipeline(block, p, x, some("stage=2,data=4"), microbatches=4)


@pytest.mark.parametrize("options", [{"microbatches": 0}, {"microbatches": -2}, {"microbatches": 2.0}, {"repeats": 0}])
def test_numbers_of_parts_that_mean_nothing(options):
    ((name, found),) = options.items()
    with pytest.raises(ValueError, match=f"model_parallel: expected {name} of 1 or more, found {found}"):
        model_parallel(some("stage=2"), **options)


def test_rows_that_do_not_divide_into_parts_that_nobody_asked_for_say_where_to():
    p, x = arguments()
    with (
        model_parallel(some("stage=2")),
        pytest.raises(ValueError, match=r"4 micro-batches do not divide the 7 rows.*model_parallel\(microbatches="),
    ):
        scan_layers(lambda p, x, key, _: block(p, x), p, x[:7], "embed")


def test_a_model_without_rows_is_one_clear_error():
    p = jnn.init(TRANSFORMER.spec, jax.random.key(0))
    with (
        model_parallel(some("stage=2")),
        pytest.raises(ValueError, match=r"scan_layers: a pipeline needs rows .* float32\[6,16\] with axes time, embed"),
    ):
        transformer(p, jnp.zeros(6, jnp.int32), key=None)


def test_what_is_in_pieces_already_is_one_clear_error():
    mesh = some("context=2")
    attending = model_parallel(mesh)(lambda x: jnn.layers.dot_product_attention(x, x, x))
    along = jax.P(None, "context")
    with pytest.raises(ValueError, match=r"shard_map: arrays are pieces along context already, in the shard_map"):
        jax.jit(jax.shard_map(attending, mesh=mesh, in_specs=along, out_specs=along))(jnp.ones((4, 8, 2, 3)))
