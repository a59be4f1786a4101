"""Convolutions over integers: what they stand for, wherever a block reads them, and a refusal where it does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import layers, models
from jnn.param import flatten, linear_maps
from jnn.quantization import dequantize, quantize, quantize_spec
from tests.finetune.test_read import found, zeros
from tests.oracle import configurations
from tests.table import BLOCKS

KEY = jax.random.key(0)
KINDS = [layers.conv, layers.depthwise_conv, layers.conv_transpose]
BY_THEMSELVES = {"deformable_conv", "masked_conv", "pixelcnn"}  # whose weights another layer than `conv` multiplies by


def convolutions(spec):
    """The weights of a spec that slide, by path."""
    kernels = lambda path, param: path.endswith("w") and param.receptive and path not in linear_maps("test", spec)
    return [path for path, param in flatten(spec).items() if kernels(path, param)]


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_a_convolution_of_integers_is_that_of_what_they_stand_for(rng):
    apply, bits, rank = KINDS[rng.integers(3)], (8, 4)[rng.integers(2)], int(rng.integers(1, 3))
    c_in, c_out = (4, 4) if apply is layers.depthwise_conv else (int(rng.integers(1, 5)), 6)
    groups = c_in if apply is layers.depthwise_conv else 1
    spec = layers.conv_spec(c_in, c_out, (3,) * rank, groups=groups)
    p = jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), jnn.abstract(spec))
    group = (None, 2)[rng.integers(2)] if c_in // groups % 2 == 0 else None
    q = quantize(p, spec, bits=bits, group=group)
    declared = quantize_spec(spec, bits=bits, group=group)
    assert jax.tree.map(jnp.shape, q) == jax.tree.map(lambda s: s.shape, jnn.abstract(declared))
    x = rng.normal(size=(2, *(5,) * rank, c_in)).astype(np.float32)

    def run(p, scales, x):
        p = {**p, "w": p["w"] | {"scales": scales}} if scales is not None else p
        return jnp.sin(apply(p, x)).sum()

    for value, want in zip(
        jax.value_and_grad(lambda x: run(q, q["w"]["scales"], x))(x),
        jax.value_and_grad(lambda x: run(dequantize(q), None, x))(x),
        strict=True,
    ):
        np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-5)
    if group is None:
        step = np.abs(p["w"]).max(tuple(range(rank + 1))) / (2 ** (bits - 1) - 1)
        assert (np.abs(dequantize(q)["w"] - p["w"]) <= step / 2 * (1 + 1e-5)).all()


@pytest.mark.slow
@pytest.mark.parametrize("block", [b for b in BLOCKS if b.spec and convolutions(b.spec)], ids=lambda block: block.name)
def test_every_convolution_of_integers_is_read_but_where_a_layer_multiplies_by_itself(block):
    for path in convolutions(block.spec):
        try:
            quantize_spec(block.spec, where=path)
        except ValueError:  # no convolution: gates beside channels, say
            continue
        instead = found(block, lambda path=path: quantize(zeros(block.spec), block.spec, where=path))
        refuses = block.name in BY_THEMSELVES and "found integers with scales" in instead
        assert refuses or not instead, (path, instead)


def test_a_network_of_images_in_integers_is_nearly_what_it_was():
    spec = models.cnn_spec((8, 8, 3), (4, 8), 16, 10)
    p, x = jnn.init(spec, KEY), jax.random.uniform(jax.random.key(1), (16, 8, 8, 3))
    run = jax.jit(lambda p: models.cnn(p, x, key=None, rate=0.0))
    whole, eight, four = run(p), run(quantize(p, spec)), run(quantize(p, spec, bits=4))
    error = lambda y: float(jnp.linalg.norm(y - whole) / jnp.linalg.norm(whole))
    assert error(eight) < 0.02 < error(four) < 0.4
    assert sum(x.nbytes for x in jax.tree.leaves(quantize(p, spec))) < 0.35 * jnn.count_params(spec) * 4
