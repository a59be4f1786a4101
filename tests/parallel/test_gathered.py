"""Layers and models on meshes of several axes against one device: what the partitioner must not get wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.axes import gather, gathered, use_layout
from jnn.laws import value_and_gradient
from jnn.layers import (
    conv,
    conv_spec,
    conv_transpose,
    conv_transpose_spec,
    depthwise_conv,
    depthwise_conv_spec,
    gru_cell,
    gru_cell_spec,
    linear,
    linear_spec,
    lstm_cell,
    lstm_cell_spec,
    rnn_cell,
    rnn_cell_spec,
)
from jnn.models import recurrent_classifier, recurrent_classifier_spec
from jnn.parallel import layout
from jnn.parallel._shard_map import layout_inside, shard_map
from tests.parallel.sharing import some
from tests.table import BLOCKS

MESHES = ("data=4,tensor=2", "fsdp=4,tensor=2", "data=2,fsdp=4", "data=2,tensor=4", "slice=2,data=2,fsdp=2", "fsdp=8")
RNG = np.random.default_rng(0)


def check(spec, apply, params, inputs, text):
    """Values and gradients of the params and the inputs, in float64, where the layout wants them and on one device."""
    with jax.enable_x64(True):
        wide = lambda x: np.asarray(x, np.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x
        params, inputs = jax.tree.map(wide, (params, inputs))
        run = jax.jit(lambda *args: value_and_gradient(gathered(apply), *args))
        expected = run(params, *inputs)
        place = layout(spec, some(text), uneven="replicate")
        with use_layout(place):
            found = run(jax.device_put(params, place.parameters), *jax.device_put(inputs, place.batch()))
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("text", MESHES)
@pytest.mark.parametrize("layer", BLOCKS, ids=lambda block: block.name)
def test_law_6_on_other_meshes(layer, text):
    rows = lambda x: np.resize(x, (8, *x.shape[1:]))  # again from the first, where a block's inputs have no more
    apply = lambda p, *x: layer.apply(p, *x, key=layer.key)
    check(layer.spec, apply, layer.params, tuple(map(rows, layer.inputs(8))), text)


CELLS = {"lstm": (lstm_cell, lstm_cell_spec), "gru": (gru_cell, gru_cell_spec), "rnn": (rnn_cell, rnn_cell_spec)}


@pytest.mark.parametrize(
    ("cell", "options", "text"),
    [
        ("lstm", {"both_ways": True}, "data=2,fsdp=2,tensor=2"),
        pytest.param("lstm", {}, "fsdp=2,data=2,context=2", marks=pytest.mark.slow),
        pytest.param("lstm", {"layers": 3}, "fsdp=4,tensor=2", marks=pytest.mark.slow),
        pytest.param("gru", {"layers": 2}, "data=2,fsdp=2,tensor=2", marks=pytest.mark.slow),
        pytest.param("rnn", {"layers": 2, "both_ways": True}, "data=2,fsdp=2,tensor=2", marks=pytest.mark.slow),
    ],
)
def test_recurrent_models_with_lengths(cell, options, text):
    step, cell_spec = CELLS[cell]
    spec = recurrent_classifier_spec(20, 8, 16, 4, cell_spec=cell_spec, **options)
    tokens, lengths = RNG.integers(0, 20, (16, 7)), RNG.integers(0, 8, 16)
    apply = lambda p, x, n: recurrent_classifier(p, x, lengths=n, key=None, cell=step)
    check(spec, apply, jnn.init(spec, jax.random.key(0)), (tokens, lengths), text)


@pytest.mark.parametrize("text", ["data=4,tensor=2", pytest.param("slice=2,fsdp=2,tensor=2", marks=pytest.mark.slow)])
def test_each_row_counts_once_in_the_kernels_of_grouped_convolutions(text):
    """However many devices have it: here each is on two."""
    spec = {
        "grouped": conv_spec(8, 8, (3, 2), groups=4),
        "depthwise": depthwise_conv_spec(8, (3,), multiplier=2),
        "transposed": conv_transpose_spec(16, 8, (2, 3), groups=2),
    }

    def apply(p, x):
        h = conv(p["grouped"], x, stride=(2, 1), dilation=(1, 2), groups=4)
        with jnn.backend.target("tpu"):
            h = depthwise_conv(p["depthwise"], h)
        return conv_transpose(p["transposed"], h, stride=(2, 1), padding=((0, 1), (1, 0)), groups=2)

    check(spec, apply, jnn.init(spec, jax.random.key(0)), (RNG.normal(size=(8, 6, 5, 8)),), text)


def test_grouped_convolutions_within_slices():
    """Where a layout's mesh is pieces along one axis already, and the compiler's along the others."""
    spec, x = conv_spec(4, 4, (2,), groups=2), RNG.normal(size=(8, 3, 4)).astype(np.float32)
    p, place = jnn.init(spec, jax.random.key(0)), layout(spec, some("slice=2,data=2,tensor=2"))

    @shard_map(place.mesh, "slice", (jax.P(), jax.P("slice")), jax.P("slice"))
    def sliced(p, x):
        with use_layout(layout_inside(place)):
            return conv(p, x, groups=2)

    np.testing.assert_allclose(jax.jit(sliced)(p, x), conv(p, x, groups=2), rtol=1e-5, atol=1e-5)


SPEC = {"up": linear_spec(8, 16), "down": linear_spec(16, 8, axes=("hidden", "embed"))}


def test_what_a_model_leaves_out_is_gathered_where_it_begins():
    place = layout(SPEC, some("data=2,fsdp=2,tensor=2"))
    seen = {}

    def loss(p, x):
        up = gather(p["up"], "up")
        seen.update(up=p["up"]["w"], down=p["down"]["w"])
        return linear(p["down"], linear(up, x))

    p = jax.device_put(jnn.init(SPEC, jax.random.key(0)), place.parameters)
    with use_layout(place):
        gathered(loss)(p, jnp.ones((8, 8)))
    assert seen["up"].sharding.spec == jax.P("fsdp", "tensor")
    assert seen["down"].sharding.spec == jax.P("tensor", None)


def test_a_loss_that_has_nothing_to_gather_is_traced_once():
    traced = []
    for place in (None, layout(SPEC, some("data=4,tensor=2"))):
        with use_layout(place):
            gathered(traced.append)({"up": {"w": np.ones((8, 16))}})
    assert len(traced) == 2


def test_layers_stay_in_their_stages():
    spec = {"blocks": jnn.stack(linear_spec(8, 16), 4)}
    _, used, _ = layout(spec, some("stage=2,fsdp=2")).parameter("blocks/w", (4, 8, 16))
    assert used.spec == jax.P("stage", None, None)
