"""The laws of `model`: the same FLOPs whatever the backend's formulation and the mesh, in proportion to the rows."""

import jax
import jax.numpy as jnp
import pytest

import jnn
from jnn.inspect import flops
from jnn.layers import (
    attention,
    attention_spec,
    depthwise_conv,
    depthwise_conv_spec,
    mixture_of_experts,
    mixture_of_experts_spec,
    scan_layers,
)
from jnn.parallel import model_parallel
from tests.oracle import configurations
from tests.parallel.sharing import some
from tests.table import BLOCKS, layers, models

S = jax.ShapeDtypeStruct


def gradients_of(layer):
    """Of a sum over a row of the table's outputs, by its parameters and float inputs."""

    def loss(args):
        return sum(jnp.sum(y.astype(jnp.float32)) for y in jax.tree.leaves(layer.apply(*args, key=None)))

    return lambda *args: jax.value_and_grad(loss, allow_int=True)(args)


ONCE = {"spectral_norm", "linear-dora", "linear-int4-dora"}  # the work on whose weights is the same for any batch
NEWER = [row for row in BLOCKS if row not in (*layers.BLOCKS, *models.BLOCKS)]  # made of the same products


@pytest.mark.parametrize(
    "layer",
    [pytest.param(row, marks=pytest.mark.slow if row in NEWER else ()) for row in BLOCKS],
    ids=lambda row: row.name,
)
def test_no_layer_depends_on_the_formulation_of_a_backend(layer):
    """Values and gradients; and a batch is twice its half, as is a loop over two of these."""
    half = min(3, (layer.most or 6) // 2)
    args = [(jnn.abstract(layer.spec), *layer.inputs(rows)) for rows in (half, 2 * half)]
    counts = {}
    for platform in ("cpu", "tpu"):
        with jnn.backend.target(platform):
            counts[platform] = flops(gradients_of(layer), *args[0]).model
    assert counts["cpu"] == counts["tpu"]
    if layer.per_example and layer.name not in ONCE:
        assert flops(gradients_of(layer), *args[1]).model == 2 * counts["cpu"]
    split = lambda p, *x: jax.lax.map(
        lambda x: gradients_of(layer)(p, *x), [jnp.reshape(leaf, (2, half, *leaf.shape[1:])) for leaf in x]
    )
    assert flops(split, *args[1]).model == 2 * counts["cpu"]


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_shifted_multiply_adds_are_a_convolution(rng):
    """In every geometry: values, gradients, and tangents."""
    channels, kernel = int(rng.integers(1, 4)), tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 3)))
    p = jnn.abstract(depthwise_conv_spec(channels, kernel, multiplier=int(rng.integers(1, 3))))
    x = S((2, *(int(n) for n in rng.integers(7, 12, len(kernel))), channels), "float32")
    padding = ["SAME", "VALID", "CIRCULAR", "REFLECT", [tuple(map(int, rng.integers(0, 3, 2))) for _ in kernel]]
    how = {"stride": int(rng.integers(1, 4)), "dilation": int(rng.integers(1, 3)), "padding": padding[rng.integers(5)]}
    layer = lambda p, x: depthwise_conv(p, x, **how)
    tangents = lambda p, x: jax.jvp(layer, (p, x), (p, x))
    for f in (layer, tangents, jax.grad(lambda p, x: layer(p, x).sum(), (0, 1))):
        counts = []
        for platform in ("cpu", "tpu"):
            with jnn.backend.target(platform):
                counts.append(flops(f, p, x).model)
        assert counts[0] == counts[1] > 0


MESHES = [  # each with another attention
    ("expert=2,data=4", {}, {"causal": True}),
    ("context=4,data=2", {}, {"causal": True}),
    ("context=4", {}, {"window": 3}),
    ("context=2,tensor=2", {"context": "heads"}, {"causal": True, "window": 5}),
    ("stage=2,context=2,expert=2", {"microbatches": 4}, {"causal": True, "window": 5}),
]


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
@pytest.mark.parametrize(("text", "how", "dot_product_attention"), MESHES)
def test_no_model_depends_on_the_mesh(text, how, dot_product_attention, platform):
    """A layer of attention and experts, twice, by value and gradient."""
    spec = jnn.stack({"attention": attention_spec(16, 4), "experts": mixture_of_experts_spec(16, 8, 8)}, 2)
    p, x = jnn.abstract(spec), S((8, 16, 16), "float32")

    def layer(p, x, key, beside):
        x = x + attention(p["attention"], x, **dot_product_attention)
        return x + mixture_of_experts(p["experts"], x, top=2)[0]

    grad = lambda: jax.grad(lambda p, x: scan_layers(layer, p, x, "time", "embed").sum(), (0, 1))
    with jnn.backend.target(platform):
        alone = flops(grad(), p, x)
        count = flops(model_parallel(some(text), **how)(grad()), p, x)
    assert count.model == alone.model
    assert count.hardware >= count.model
