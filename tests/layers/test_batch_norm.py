"""batch_norm against torch, by its own and by given statistics; statistics over padding and devices; bad arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn import init
from jnn.layers import batch_norm, batch_norm_stats_spec
from tests.layers.channels import first, image_shape, last, normals
from tests.oracle import assert_matches_torch, configurations

F = torch.nn.functional


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
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


@pytest.mark.parametrize("rng", configurations(20, seed=1, fast=(0, 1, 9)), ids=range(20))
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


def test_bad_arguments_are_one_clear_error():
    x = jnp.ones((2, 3, 3, 4))
    with pytest.raises(ValueError, match=r"batch_norm: mean is float32\[5\], .* channels differ"):
        batch_norm({}, x, {"mean": jnp.ones(5), "var": jnp.ones(5)})
    with pytest.raises(ValueError, match=r"batch_norm: the axes of weight float32\[3\] must be the first of x"):
        batch_norm({}, x, weight=jnp.ones(3))
