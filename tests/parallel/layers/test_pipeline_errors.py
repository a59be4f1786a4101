"""Numbers, shapes and meshes that make no pipeline: one clear error each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.axes import use_layout
from jnn.layers import scan_layers
from jnn.models import transformer
from jnn.parallel import layout, pipeline
from jnn.parallel.layers._model_parallel import model_parallel
from tests.parallel.layers.stages import SPEC, arguments, block
from tests.parallel.models import TRANSFORMER
from tests.parallel.sharing import some


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
