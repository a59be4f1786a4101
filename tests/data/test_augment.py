"""Augmentation: a pure function of the key, content preserved, every image on its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data import random_crop, random_flip

X = jax.random.randint(jax.random.key(9), (8, 6, 5, 3), 1, 255).astype(jnp.uint8)
FUNCTIONS = {"crop": lambda x, key: random_crop(x, 2, key=key), "flip": lambda x, key: random_flip(x, key=key)}
both = pytest.mark.parametrize("augment", FUNCTIONS.values(), ids=FUNCTIONS)


@both
@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.float32, jnp.bfloat16])
def test_shape_and_dtype_are_kept(augment, dtype):
    out = augment(X.astype(dtype), jax.random.key(0))
    assert (out.shape, out.dtype) == (X.shape, dtype)


@both
def test_same_key_same_images_and_none_is_the_identity(augment):
    key = jax.random.key(0)
    np.testing.assert_array_equal(augment(X, key), jax.jit(augment)(X, key))
    assert not np.array_equal(augment(X, key), augment(X, jax.random.key(1)))
    np.testing.assert_array_equal(augment(X, None), X)


@both
def test_an_image_depends_on_the_key_and_its_place_alone(augment):
    key = jax.random.key(0)
    whole = augment(X, key)
    np.testing.assert_array_equal(augment(X[:3], key), whole[:3])
    others = X.at[jnp.array([0, 2, 3])].set(7)
    np.testing.assert_array_equal(augment(others, key)[1], whole[1])


@both
def test_sharded_equals_unsharded(augment):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharded = jax.device_put(X, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    key = jax.random.key(0)
    np.testing.assert_array_equal(jax.jit(augment)(sharded, key), augment(X, key))


def test_a_crop_is_a_window_of_the_padded_image_and_all_windows_occur():
    same = jnp.broadcast_to(X[:1], (400, *X.shape[1:]))
    padded = np.pad(X[0], ((2, 2), (2, 2), (0, 0)))
    windows = {padded[i : i + 6, j : j + 5].tobytes(): (i, j) for i in range(5) for j in range(5)}
    crops = np.asarray(random_crop(same, 2, key=jax.random.key(0)))
    assert {windows[crop.tobytes()] for crop in crops} == set(windows.values())


def test_a_flip_mirrors_about_half_of_the_images_left_to_right():
    same = jnp.broadcast_to(X[:1], (400, *X.shape[1:]))
    out = np.asarray(random_flip(same, key=jax.random.key(0)))
    mirrored = (out == np.asarray(X[0])[:, ::-1]).all((1, 2, 3))
    assert (mirrored | (out == np.asarray(X[0])).all((1, 2, 3))).all()
    assert 150 < mirrored.sum() < 250


def test_no_padding_changes_nothing():
    np.testing.assert_array_equal(random_crop(X, 0, key=jax.random.key(0)), X)


def test_bad_input_is_one_clear_error():
    for augment in FUNCTIONS.values():
        with pytest.raises(ValueError, match=r"random_\w+: expected a non-empty batch of images \[b,y,x,c\], found"):
            augment(X[0], jax.random.key(0))
        with pytest.raises(ValueError, match=r"found uint8\[0,6,5,3\]"):
            augment(X[:0], jax.random.key(0))
    with pytest.raises(ValueError, match="random_crop: padding is 0 or more pixels, found -1"):
        random_crop(X, -1, key=jax.random.key(0))
