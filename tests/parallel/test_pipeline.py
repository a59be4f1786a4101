"""The pipeline is the scan over the layers: values, gradients, products with other axes, noise, bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.axes import constrain, laid_out
from jnn.layers import dropout, layer_norm, layer_norm_spec, linear, linear_spec
from jnn.parallel import layout
from jnn.parallel.pipeline import pipeline
from jnn.parallel.spread import spread
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


def arguments(dtype=jnp.float32):
    return jnn.init(SPEC, jax.random.key(0)), jax.random.normal(jax.random.key(1), (8, 4, 6), dtype)


@pytest.mark.parametrize(
    ("text", "microbatches", "repeats"),
    [
        ("stage=8", 8, 1),
        ("stage=4", 4, 2),
        ("stage=2,data=2,tensor=2", 4, 2),
        ("stage=4,fsdp=2", 4, 1),
    ],
)
def test_it_is_the_scan_over_the_layers(text, microbatches, repeats):
    p, x = arguments()
    whole = jax.jit(partial(value_and_gradients, partial(scanned, block)))(p, x)
    place = layout(SPEC, some(text), parameters={"layers": "stage"})
    ours = lambda p, x: pipeline(block, p, x, place, microbatches=microbatches, repeats=repeats)
    with laid_out(place):
        p, x = jax.device_put(p, place.parameters), jax.device_put(x, place.batch())
        assert_close(jax.jit(partial(value_and_gradients, ours))(p, x), whole)


def test_under_checkpoint_and_in_bfloat16():
    p, x = arguments(jnp.bfloat16)
    whole = jax.jit(partial(value_and_gradients, partial(scanned, block)))(p, x)
    ours = lambda p, x: pipeline(jax.checkpoint(block), p, x, some("stage=4,data=2"), microbatches=4)
    (_, y), grads = jax.jit(partial(value_and_gradients, ours))(p, x)
    assert y.dtype == jnp.bfloat16
    assert_close((y, grads), (whole[0][1], whole[1]), 0.05)


def test_an_idle_stage_makes_no_nan():
    singular = lambda p, x: x / jnp.sqrt(jnp.sum(x**2, -1, keepdims=True)) * p[None]  # NaN at 0, as its gradient
    x = 1 + jnp.arange(8.0).reshape(4, 2)
    ours = lambda p, x: pipeline(singular, p, x, some("stage=4"), microbatches=2)
    p = jnp.ones((4, 2))
    assert_close(value_and_gradients(ours, p, x), value_and_gradients(partial(scanned, singular), p, x))


def test_a_tree_goes_through_and_every_layer_has_its_own_noise():
    keys = jax.random.split(jax.random.key(0), 4)
    x = {"x": jnp.ones((8, 100)), "shift": jnp.arange(8.0)[:, None]}

    def noisy(key, tree):
        row = dropout(tree["x"], 0.5, key=key, shared_axes=(0,)) + tree["shift"]
        return {"x": row, "shift": tree["shift"]}

    ours = jax.jit(lambda x: pipeline(noisy, keys, x, some("stage=2"), microbatches=4))(x)
    assert_close(ours, scanned(noisy, keys, x))


def test_each_stage_keeps_its_layers_and_nothing_is_gathered():
    p, x = arguments()
    place = layout(SPEC, some("stage=8"), parameters={"layers": "stage"})
    p, x = jax.device_put(p, place.parameters), jax.device_put(x, place.batch())
    ours = lambda p, x: pipeline(block, p, x, place, microbatches=4)
    program = jax.jit(partial(value_and_gradients, ours)).lower(p, x).compile()
    counted = moved(program)
    assert set(counted) == {"collective-permute", "all-reduce"}
    assert counted["all-reduce"] <= 2  # the result, from the last stage; the gradient of x, from the first
    held = program.memory_analysis().argument_size_in_bytes
    assert held < (sum(a.nbytes for a in jax.tree.leaves(p)) / 8 + x.nbytes) * 1.1


@pytest.mark.parametrize(
    ("text", "how", "message"),
    [
        ("data=2", {}, "pipeline: the mesh has axes data, no 'stage'"),
        ("stage=3", {}, r"number of layers that 3 stages \* 1 repeats divide, found \[8\]"),
        ("stage=4", {"repeats": 4, "microbatches": 4}, r"4 stages \* 4 repeats divide, found \[8\]"),
        ("stage=2", {"microbatches": 3}, r"rows that 3 micro-batches divide, found \[8\]"),
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


def test_two_algorithms_one_within_the_other_are_one_clear_error():
    attending = lambda p, x: jnn.layers.attend(x, x, x)
    mesh = some("stage=2,context=2")
    with (
        spread(mesh),
        pytest.raises(ValueError, match=r"over: context cannot be shared within .* along stage"),
    ):
        jax.jit(lambda x: pipeline(attending, jnp.ones(2), x, mesh, microbatches=2))(jnp.ones((4, 8, 2, 3)))
