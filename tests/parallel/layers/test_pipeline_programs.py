"""What a pipeline's program moves, holds and computes on each device."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import pytest

import jnn
from jnn.axes import gather, use_layout
from jnn.inspect import flops
from jnn.layers import linear
from jnn.models import mlp
from jnn.parallel import layout, pipeline
from jnn.remat import remat_layer
from tests.parallel.layers.stages import SPEC, arguments, block, scanned
from tests.parallel.models import MLP
from tests.parallel.sharing import moved, some, value_and_gradients


def test_a_policy_that_remembers_linear_maps_does_so_on_every_stage():
    p, x = arguments()

    def computed(remat):
        layer = remat_layer(remat)(lambda p, x: linear(p["down"], jnp.tanh(linear(p["up"], x))))
        return flops(
            jax.grad(lambda p: jnp.sum(pipeline(layer, p, x, some("stage=4"), microbatches=4) ** 2)), p
        ).hardware

    assert computed(None) == computed("dots") < computed("full")


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
