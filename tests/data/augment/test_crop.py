"""Crops and flips: windows and mirror images, all of them; scaled windows keep gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data.augment import random_crop, random_flip, random_resized_crop
from jnn.data.augment._window import draw_window

X = jax.random.randint(jax.random.key(9), (8, 6, 5, 3), 1, 255).astype(jnp.uint8)
KEY = jax.random.key(0)


def test_a_crop_is_a_window_of_the_padded_image_and_all_windows_occur():
    same = jnp.broadcast_to(X[:1], (400, *X.shape[1:]))
    padded = np.pad(X[0], ((2, 2), (2, 2), (0, 0)))
    windows = {padded[i : i + 6, j : j + 5].tobytes(): (i, j) for i in range(5) for j in range(5)}
    crops = np.asarray(random_crop(same, 2, key=KEY))
    assert {windows[crop.tobytes()] for crop in crops} == set(windows.values())


@pytest.mark.parametrize("axis", [1, 2])
def test_a_flip_mirrors_about_half_of_the_images(axis):
    same = jnp.broadcast_to(X[:1], (400, *X.shape[1:]))
    out = np.asarray(random_flip(same, key=KEY, axis=axis))
    mirrored = (out == np.flip(np.asarray(X[0]), axis - 1)).all((1, 2, 3))
    assert (mirrored | (out == np.asarray(X[0])).all((1, 2, 3))).all()
    assert 150 < mirrored.sum() < 250


def test_two_flips_are_none_and_no_padding_changes_nothing():
    np.testing.assert_array_equal(random_flip(random_flip(X, key=KEY), key=KEY), X)
    np.testing.assert_array_equal(random_crop(X, 0, key=KEY), X)


def test_without_a_key_the_whole_image_is_scaled():
    expected = jax.image.resize(X.astype(jnp.float32), (8, 3, 4, 3), "linear", precision="highest")
    np.testing.assert_array_equal(random_resized_crop(X, (3, 4), key=None), jnp.round(expected).astype(jnp.uint8))


@pytest.mark.parametrize("out", [(4, 6), (11, 9)])
def test_a_resized_crop_reads_evenly_from_its_window(out):
    rows, columns = np.mgrid[:16, :20].astype(np.float32)
    x = jnp.broadcast_to(jnp.stack([rows, columns], -1), (6, 16, 20, 2))
    top, left, height, width = draw_window(KEY, 6, (16, 20), (0.1, 0.3), (0.5, 2.0))
    got = np.asarray(random_resized_crop(x, out, key=KEY, area=(0.1, 0.3), ratio=(0.5, 2.0)))
    for axis, (start, size, n) in enumerate([(top, height, 16), (left, width, 20)]):
        places = start[:, None] + (jnp.arange(out[axis])[None] + 0.5) * size[:, None] / out[axis] - 0.5
        inner = np.asarray((places >= 2) & (places <= n - 3))  # where no edge of the image is near
        assert inner.sum() > 12
        found = got[..., axis].mean(2 - axis)
        # a triangle sampled at pixels keeps a gradient exactly, unless it is widened against aliasing
        error = np.where(np.asarray(size) <= out[axis], 1e-4, 0.1)[:, None]
        assert (np.abs(found - np.asarray(places)) <= error)[inner].all()


def test_windows_lie_inside_and_have_the_area_and_ratio_asked_for():
    top, left, height, width = map(np.asarray, draw_window(KEY, 500, (30, 40), (0.1, 0.5), (0.5, 2.0)))
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 30 + 1e-4).all()
    assert (left + width <= 40 + 1e-4).all()
    share, ratio = height * width / 1200, width / height
    assert 0.0999 < share.min() < 0.12
    assert 0.4 < share.max() < 0.5001
    assert 0.4999 < ratio.min() < 0.6
    assert 1.8 < ratio.max() < 2.0001


@pytest.mark.parametrize(
    ("size", "window"), [((100, 1), (49.333333, 0, 4 / 3, 1)), ((1, 100), (0, 49.333333, 1, 4 / 3))]
)
def test_where_nothing_fits_the_window_is_central_and_as_large_as_may_be(size, window):
    found = [float(a[0]) for a in draw_window(KEY, 1, size, (0.9, 1.0), (3 / 4, 4 / 3))]
    np.testing.assert_allclose(found, window, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_crop(X, -1, key=KEY), "random_crop: padding is 0 or more pixels, found -1"),
        (lambda: random_crop(X, (8, 8), key=KEY), r"found \(8, 8\). For another size: random_resized_crop\(x, size\)"),
        (lambda: random_flip(X, key=KEY, axis=3), r"random_flip: axis is 2 .* or 1 .*, found 3"),
        (lambda: random_resized_crop(X, (0, 4), key=KEY), r"random_resized_crop: size, .* positive, found \(0, 4\)"),
        (lambda: random_resized_crop(X, (4, 4), key=KEY, area=(0.5, 2)), r"area is \(least, most\) .*\(0.5, 2\)"),
        (lambda: random_resized_crop(X, (4, 4), key=KEY, ratio=(2, 1)), r"ratio is \(least, most\) .*\(2, 1\)"),
        (lambda: random_resized_crop(X, (4, 4), key=KEY, ratio=(0, 1)), "positive"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
