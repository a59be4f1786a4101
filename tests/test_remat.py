"""What is remembered where: sizes, the host's memory on a TPU, and bad input."""

import jax
import jax.numpy as jnp
import pytest
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import SingleDeviceSharding

from jnn import backend
from jnn.preflight import topology
from jnn.remat import NAMES, POLICIES, remat_layer
from tests.preflight.small import needs_libtpu

N, LAYERS = 512, 4


def stack(remat):
    """Four layers; all but the stream has names, and only "query" comes out of a product."""

    def layer(x, w):
        h = checkpoint_name(x @ w, "query")
        return jnp.sin(checkpoint_name(jnp.cos(h), "hidden")), None

    return lambda x, w: jax.lax.scan(remat_layer(remat)(layer), x, w)[0].sum()


SHAPES = jax.ShapeDtypeStruct((N, N), jnp.float32), jax.ShapeDtypeStruct((LAYERS, N, N), jnp.float32)


@pytest.mark.parametrize(
    ("remat", "arrays"),
    [("full", 1), ("dots", 2), ("names", 2), (("hidden",), 2), (("query", "hidden"), 3), ("offload", 3)],
)
def test_what_is_remembered_of_each_layer(remat, arrays):
    """Beside the weights: the layer's input, and what the choice names."""
    residuals = jax.eval_shape(lambda *a: jax.vjp(stack(remat), *a)[1], *SHAPES)
    sizes = [x.size for x in jax.tree.leaves(residuals)]
    assert sum(sizes) // (LAYERS * N * N) == arrays + 1


def test_on_a_cpu_what_is_offloaded_stays():
    with backend.recording() as chosen:
        jax.eval_shape(jax.grad(stack("offload")), *SHAPES)
    assert {str(choice) for choice in chosen} == {"offload: keep"}


@needs_libtpu
def test_on_a_tpu_it_is_in_the_hosts_memory():
    place = SingleDeviceSharding(topology("v5e:2x2").devices[0])
    args = [jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place) for s in SHAPES]
    with backend.target("tpu"):
        compiled = {remat: jax.jit(jax.grad(stack(remat), 1)).lower(*args).compile() for remat in ("offload", None)}
    on_host = {remat: program.memory_analysis().host_temp_size_in_bytes for remat, program in compiled.items()}
    assert on_host == {"offload": 2 * LAYERS * N * N * 4, None: 0}


def test_every_policy_is_in_the_table():
    import jnn.remat

    assert all(f'"{policy}"' in jnn.remat.__doc__ for policy in POLICIES)
    assert set(NAMES) == {"input", "query", "key", "value", "attended", "stream", "hidden"}


@pytest.mark.parametrize("remat", ["all", "", 3, ["query"]])
def test_bad_input_is_one_clear_error(remat):
    with pytest.raises(ValueError, match=r"remat_layer: remat is None, a tuple of names, or one of"):
        remat_layer(remat)
