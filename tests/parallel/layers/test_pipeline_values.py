"""The pipeline is the scan over the layers: values, gradients, noise, masks, in bfloat16 and under checkpoint."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.axes import constrain, use_layout
from jnn.layers import dropout
from jnn.models import transformer
from jnn.parallel import layout, pipeline
from jnn.parallel.layers._model_parallel import model_parallel
from tests.parallel.layers.stages import SPEC, arguments, block, scanned
from tests.parallel.models import TRANSFORMER
from tests.parallel.sharing import assert_close, some, value_and_gradients


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
