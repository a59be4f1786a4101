"""Normalization against torch and Flax, statistics over padding and devices, bad input."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn import init
from jnn.layers import (
    batch_norm,
    batch_norm_spec,
    batch_norm_stats_spec,
    group_norm,
    group_norm_spec,
    instance_norm,
    layer_norm,
    layer_norm_spec,
    rms_norm,
    rms_norm_spec,
)
from tests.layers.channels import first, last
from tests.oracle import assert_matches_torch, configurations

F = torch.nn.functional


def normals(rng, *shapes):
    return [rng.normal(1, 2, size=s).astype(np.float32) for s in shapes]


def image_shape(rng, channels):
    """(b, *spatial, c) with 1 to 3 spatial axes."""
    return (3, *rng.integers(2, 5, rng.integers(1, 4)).tolist(), channels)


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_batch_norm_by_its_own_statistics_matches_torch(rng):
    c, epsilon = int(rng.integers(1, 6)), float(10 ** rng.uniform(-6, -2))
    arrays = normals(rng, image_shape(rng, c), (c,), (c,))
    assert_matches_torch(
        lambda x, s, b: batch_norm({"scale": s, "bias": b}, x, epsilon=epsilon)[0],
        lambda x, s, b: last(F.batch_norm(first(x), None, None, s, b, training=True, eps=epsilon)),
        arrays,
    )
    _, stats = batch_norm({}, jnp.asarray(arrays[0]))
    rows = torch.tensor(arrays[0]).reshape(-1, c)
    np.testing.assert_allclose(stats["mean"], rows.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stats["var"], rows.var(0, correction=0), rtol=1e-4)


@pytest.mark.parametrize("rng", configurations(20, seed=1), ids=range(20))
def test_batch_norm_by_given_statistics_matches_torch(rng):
    c = int(rng.integers(1, 6))
    arrays = normals(rng, image_shape(rng, c), (c,), (c,), (c,), (c,))
    arrays[2] = np.abs(arrays[2]) + 0.1
    assert_matches_torch(
        lambda x, m, v, s, b: batch_norm({"scale": s, "bias": b}, x, {"mean": m, "var": v})[0],
        # written out: torch gives no gradient to running statistics
        lambda x, m, v, s, b: (x - m) / torch.sqrt(v + 1e-5) * s + b,
        arrays,
    )
    x, mean, var = (torch.tensor(a) for a in arrays[:3])
    ours, stats = batch_norm(
        {}, jnp.asarray(arrays[0]), {"mean": jnp.asarray(arrays[1]), "var": jnp.asarray(arrays[2])}
    )
    np.testing.assert_allclose(ours, last(F.batch_norm(first(x), mean, var)), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(stats["mean"], arrays[1])
    np.testing.assert_array_equal(stats["var"], arrays[2])


@pytest.mark.parametrize("rng", configurations(20, seed=2), ids=range(20))
def test_layer_norm_matches_torch(rng):
    in_axes, epsilon = int(rng.integers(1, 4)), float(10 ** rng.uniform(-6, -2))
    size = tuple(rng.integers(2, 6, in_axes).tolist())
    arrays = normals(rng, (*rng.integers(1, 4, rng.integers(0, 3)).tolist(), *size), size, size)
    assert_matches_torch(
        lambda x, s, b: layer_norm({"scale": s, "bias": b}, x, in_axes=in_axes, epsilon=epsilon),
        lambda x, s, b: F.layer_norm(x, size, s, b, epsilon),
        arrays,
    )


@pytest.mark.parametrize("rng", configurations(20, seed=3), ids=range(20))
def test_rms_norm_matches_torch(rng):
    d = int(rng.integers(1, 9))
    assert_matches_torch(
        lambda x, s: rms_norm({"scale": s}, x),
        lambda x, s: F.rms_norm(x, (d,), s, 1e-6),
        normals(rng, (*rng.integers(1, 4, rng.integers(0, 3)).tolist(), d), (d,)),
    )


@pytest.mark.parametrize("rng", configurations(20, seed=4), ids=range(20))
def test_group_norm_matches_torch(rng):
    groups, epsilon = int(rng.integers(1, 4)), float(10 ** rng.uniform(-6, -2))
    c = groups * int(rng.integers(1, 4))
    shape = image_shape(rng, c)
    assert_matches_torch(
        lambda x, s, b: group_norm({"scale": s, "bias": b}, x, groups, spatial=len(shape) - 2, epsilon=epsilon),
        lambda x, s, b: last(F.group_norm(first(x), groups, s, b, epsilon)),
        normals(rng, shape, (c,), (c,)),
    )


@pytest.mark.parametrize("rng", configurations(20, seed=5), ids=range(20))
def test_instance_norm_matches_torch(rng):
    c = int(rng.integers(1, 5))
    shape = image_shape(rng, c)
    assert_matches_torch(
        lambda x, s, b: instance_norm({"scale": s, "bias": b}, x, spatial=len(shape) - 2),
        lambda x, s, b: last(F.instance_norm(first(x), weight=s, bias=b)),
        normals(rng, shape, (c,), (c,)),
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
    variables = theirs.init(jax.random.key(1), x)
    p = jax.tree.map(lambda leaf: leaf + 0.1 * jnp.arange(6.0), variables["params"])
    expected = theirs.apply(variables | {"params": p}, x, mutable=["batch_stats"])[0]
    np.testing.assert_allclose(ours(p, x), expected, rtol=1e-4, atol=1e-5)


def test_padding_rows_change_nothing_whatever_they_hold():
    p = {"scale": jnp.array([2.0, 3.0]), "bias": jnp.array([1.0, -1.0])}
    x = jax.random.normal(jax.random.key(0), (3, 4, 2))
    padded = jnp.concatenate([x, jnp.full((2, 4, 2), jnp.nan)])
    weight = jnp.array([1.0, 1.0, 1.0, 0.0, 0.0])

    def value(p, x, weight):
        y, stats = batch_norm(p, x, weight=weight)
        return jnp.sum(jnp.sin(y[:3])), stats

    run = jax.value_and_grad(value, argnums=(0, 1), has_aux=True)
    whole, (dp, dx) = run(p, x, None)
    masked, (dp_masked, dx_masked) = run(p, padded, weight)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, (whole, dp, dx), (masked, dp_masked, dx_masked[:3]))
    np.testing.assert_array_equal(dx_masked[3:], 0)


def test_a_weight_of_two_counts_twice():
    x = jax.random.normal(jax.random.key(0), (3, 2))
    _, stats = batch_norm({}, x, weight=jnp.array([1, 2, 1]))
    _, repeated = batch_norm({}, x[jnp.array([0, 1, 1, 2])])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), stats, repeated)


def test_a_batch_of_padding_alone_stays_finite():
    y, stats = batch_norm({}, jnp.full((2, 3), jnp.nan), weight=jnp.zeros(2))
    assert jnp.isfinite(y).all()
    np.testing.assert_array_equal(stats["var"], 0)


def test_given_statistics_are_returned_and_fit_their_spec():
    given = init(batch_norm_stats_spec(3), jax.random.key(0))
    y, returned = batch_norm({}, jnp.full((2, 3), 5.0), given)
    assert returned is given
    np.testing.assert_allclose(y, 5.0, rtol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_on_eight_devices_are_those_of_the_whole_batch(weighted):
    x = jax.random.normal(jax.random.key(0), (16, 4, 3)) * jnp.arange(1.0, 17.0)[:, None, None]
    weight = (jnp.arange(16) < 11).astype(jnp.float32) if weighted else None
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    put = lambda tree: jax.device_put(tree, NamedSharding(mesh, PartitionSpec("data")))
    run = jax.jit(lambda x, weight: batch_norm({}, x, weight=weight))
    whole, sharded = run(x, weight), run(put(x), put(weight))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), whole, sharded)
    assert len({shard.device for shard in sharded[0].addressable_shards}) == 8


def test_statistics_of_half_precision_are_single():
    x = (1000 + jax.random.normal(jax.random.key(0), (512, 2))).astype(jnp.bfloat16)
    y, stats = batch_norm({}, x)
    assert (y.dtype, stats["mean"].dtype, stats["var"].dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
    np.testing.assert_allclose(stats["mean"], np.asarray(x, np.float64).mean(0), rtol=1e-6)


@pytest.mark.parametrize(
    "apply",
    [layer_norm, lambda p, x: group_norm(p, x, 2), instance_norm],
    ids=["layer", "group", "instance"],
)
def test_scale_and_shift_of_the_input_do_not_matter(apply):
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 6))
    np.testing.assert_allclose(apply({}, 100 * x + 7), apply({}, x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("batch_norm", lambda x: batch_norm(init(batch_norm_spec(4), jax.random.key(0)), x)),
        ("layer_norm", lambda x: layer_norm(init(layer_norm_spec(4), jax.random.key(0)), x)),
        ("rms_norm", lambda x: rms_norm(init(rms_norm_spec(4), jax.random.key(0)), x)),
        ("group_norm", lambda x: group_norm(init(group_norm_spec(4), jax.random.key(0)), x, 2)),
        ("instance_norm", lambda x: instance_norm(init(group_norm_spec(4), jax.random.key(0)), x)),
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
    with pytest.raises(ValueError, match=r"batch_norm: mean is float32\[5\], .* channels differ"):
        batch_norm({}, x, {"mean": jnp.ones(5), "var": jnp.ones(5)})
    with pytest.raises(ValueError, match=r"batch_norm: the axes of weight float32\[3\] must be the first of x"):
        batch_norm({}, x, weight=jnp.ones(3))
