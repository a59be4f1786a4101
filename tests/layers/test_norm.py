"""Every normalization against torch (by the batch: in its own file) and Flax; bad input."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init
from jnn.layers import (
    batch_norm,
    batch_norm_spec,
    group_norm,
    group_norm_spec,
    instance_norm,
    instance_norm_spec,
    layer_norm,
    layer_norm_spec,
    rms_norm,
    rms_norm_spec,
)
from tests.layers.channels import first, image_shape, last, normals
from tests.oracle import assert_matches_torch, configurations

F = torch.nn.functional


@pytest.mark.parametrize("rng", configurations(20, seed=2, fast=(1, 2, 3, 6, 7)), ids=range(20))
def test_layer_norm_matches_torch(rng):
    in_axes, epsilon = int(rng.integers(1, 4)), float(10 ** rng.uniform(-6, -2))
    size = tuple(rng.integers(2, 6, in_axes).tolist())
    arrays = normals(rng, (*rng.integers(1, 4, rng.integers(0, 3)).tolist(), *size), size, size)
    assert_matches_torch(
        lambda x, s, b: layer_norm({"scale": s, "bias": b}, x, in_axes=in_axes, epsilon=epsilon),
        lambda x, s, b: F.layer_norm(x, size, s, b, epsilon),
        arrays,
    )


@pytest.mark.parametrize("rng", configurations(20, seed=3, fast=(0, 4, 6)), ids=range(20))
def test_rms_norm_matches_torch(rng):
    d = int(rng.integers(1, 9))
    assert_matches_torch(
        lambda x, s: rms_norm({"scale": s}, x),
        lambda x, s: F.rms_norm(x, (d,), s, 1e-6),
        normals(rng, (*rng.integers(1, 4, rng.integers(0, 3)).tolist(), d), (d,)),
    )


@pytest.mark.parametrize("rng", configurations(20, seed=4, fast=(0, 3, 5, 10)), ids=range(20))
def test_group_norm_matches_torch(rng):
    groups, epsilon = int(rng.integers(1, 4)), float(10 ** rng.uniform(-6, -2))
    c = groups * int(rng.integers(1, 4))
    shape = image_shape(rng, c)
    assert_matches_torch(
        lambda x, s, b: group_norm({"scale": s, "bias": b}, x, groups, spatial=len(shape) - 2, epsilon=epsilon),
        lambda x, s, b: last(F.group_norm(first(x), groups, s, b, epsilon)),
        normals(rng, shape, (c,), (c,)),
    )


@pytest.mark.parametrize("rng", configurations(20, seed=5, fast=(1, 2, 7)), ids=range(20))
def test_instance_norm_matches_torch(rng):
    c = int(rng.integers(1, 5))
    shape = image_shape(rng, c)
    assert_matches_torch(
        lambda x, s, b: instance_norm({"scale": s, "bias": b}, x, spatial=len(shape) - 2),
        lambda x, s, b: last(F.instance_norm(first(x), weight=s, bias=b)),
        normals(rng, shape, (c,), (c,)),
        1e-4,  # the gradient of two pixels that are nearly equal is a difference of large numbers
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda p, x: batch_norm(p, x)[0], flax.linen.BatchNorm(use_running_average=False, use_fast_variance=False)),
        (lambda p, x: layer_norm(p, x, epsilon=1e-6), flax.linen.LayerNorm()),
        (rms_norm, flax.linen.RMSNorm()),
        (lambda p, x: group_norm(p, x, 2, epsilon=1e-6), flax.linen.GroupNorm(2)),
        (lambda p, x: instance_norm(p, x, epsilon=1e-6), flax.linen.InstanceNorm()),
    ],
    ids=["batch", "layer", "rms", "group", "instance"],
)
def test_matches_flax(ours, theirs):
    x = jax.random.normal(jax.random.key(0), (3, 4, 5, 6)) * 2 + 1

    @jax.jit
    def both(key, x):
        variables = theirs.init(key, x)
        p = jax.tree.map(lambda leaf: leaf + 0.1 * jnp.arange(6.0), variables["params"])
        return ours(p, x), theirs.apply(variables | {"params": p}, x, mutable=["batch_stats"])[0]

    np.testing.assert_allclose(*both(jax.random.key(1), x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "apply",
    [layer_norm, lambda p, x: group_norm(p, x, 2), instance_norm],
    ids=["layer", "group", "instance"],
)
def test_scale_and_shift_of_the_input_do_not_matter(apply):
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 6))
    both = jax.jit(lambda x: (apply({}, 100 * x + 7), apply({}, x)))
    np.testing.assert_allclose(*both(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("batch_norm", lambda x: batch_norm(init(batch_norm_spec(4), jax.random.key(0)), x)),
        ("layer_norm", lambda x: layer_norm(init(layer_norm_spec(4), jax.random.key(0)), x)),
        ("rms_norm", lambda x: rms_norm(init(rms_norm_spec(4), jax.random.key(0)), x)),
        ("group_norm", lambda x: group_norm(init(group_norm_spec(4), jax.random.key(0)), x, 2)),
        ("instance_norm", lambda x: instance_norm(init(instance_norm_spec(4), jax.random.key(0)), x)),
    ],
)
def test_bad_input_is_one_clear_error(name, call):
    with pytest.raises(TypeError, match=f"{name}: expected floating-point input, found int32"):
        call(jnp.ones((2, 3, 3, 4), jnp.int32))
    with pytest.raises(ValueError, match=rf"{name}: .*found float32\[2,3,3,5\]|{name}: .* channels differ"):
        call(jnp.ones((2, 3, 3, 5)))
    with pytest.raises(ValueError, match=f"{name}: expected at least one example"):
        call(jnp.ones((0, 3, 3, 4)))
    with pytest.raises(ValueError, match=f"{name}: expected an array of rank . or more"):
        call(jnp.ones(()))


def test_bad_arguments_are_one_clear_error():
    x = jnp.ones((2, 3, 3, 4))
    with pytest.raises(ValueError, match=r"group_norm: 3 groups do not divide the channels of float32\[2,3,3,4\]"):
        group_norm({}, x, 3)
    with pytest.raises(ValueError, match=r"group_norm: expected an array of rank 5 or more"):
        group_norm({}, x, 2, spatial=4)
    with pytest.raises(ValueError, match=r"layer_norm: its parameters have 1 axes, in_axes is 2"):
        layer_norm({"scale": jnp.ones(4)}, x, in_axes=2)
