"""Stages times any other axes are one device: attention, experts, and slices with sums of their own."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import optax
import pytest

import jnn
from jnn.axes import constrain, gather, use_layout
from jnn.layers import (
    attention,
    attention_spec,
    layer_norm,
    layer_norm_spec,
    mixture_of_experts,
    mixture_of_experts_spec,
    scan_layers,
)
from jnn.parallel import compressed_sums, layout, sharded_state, sharded_step
from jnn.parallel._shard_map import shard_map
from jnn.parallel.layers._model_parallel import model_parallel
from tests.parallel.models import TRANSFORMER
from tests.parallel.sharing import assert_close, some, value_and_gradients

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
