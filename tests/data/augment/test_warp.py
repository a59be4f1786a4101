"""warp against SciPy and PIL; matrices against NumPy; the identity, quarter turns and moves, exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from jnn.data.augment import affine_matrix, random_affine, random_rotate, warp
from tests.oracle import configurations

X = jax.random.randint(jax.random.key(9), (4, 6, 5, 3), 0, 255).astype(jnp.uint8)
KEY = jax.random.key(0)
methods = pytest.mark.parametrize(("method", "order"), [("bilinear", 1), ("nearest", 0)])


@methods
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_matches_scipy(rng, method, order):
    b, height, width, c = rng.integers(1, 4), *rng.integers(1, 12, 2), rng.integers(1, 4)
    x = rng.normal(size=(b, height, width, c)).astype(np.float32)
    matrices = rng.normal(size=(b, 2, 3)).astype(np.float32) * np.array([1, 1, 4], np.float32)
    got = jax.jit(lambda x, m: warp(x, m, method=method, fill=0.25))(x, matrices)
    for one, matrix, image in zip(got, matrices, x, strict=True):
        for k in range(c):
            m = matrix.astype(np.float64)
            expected = scipy.ndimage.affine_transform(
                image[..., k], m[:, :2], m[:, 2], order=order, mode="grid-constant", cval=0.25
            )
            np.testing.assert_allclose(one[..., k], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("degrees", [10, -33, 88, 171.5])
def test_nearest_rotation_matches_pil(degrees):
    x = np.random.default_rng(0).integers(0, 256, (19, 24, 3)).astype(np.uint8)
    expected = Image.fromarray(x).rotate(degrees, resample=Image.Resampling.NEAREST)
    got = warp(jnp.asarray(x)[None], affine_matrix((19, 24), degrees=degrees), method="nearest")
    np.testing.assert_array_equal(got[0], expected)


@methods
def test_the_identity_is_exact(method, order):
    for dtype in (jnp.uint8, jnp.int16, jnp.float32, jnp.bfloat16):
        x = (X / 7).astype(dtype)
        np.testing.assert_array_equal(warp(x, affine_matrix((6, 5)), method=method), x)
    np.testing.assert_array_equal(random_affine(X, method=method, key=KEY), X)


@methods
@pytest.mark.parametrize("quarters", [-1, 1, 2, 3])
def test_quarter_turns_are_rot90(method, order, quarters):
    square = X[:, :5]
    got = warp(square, affine_matrix((5, 5), degrees=90.0 * quarters), method=method)
    np.testing.assert_array_equal(got, np.rot90(square, quarters, axes=(1, 2)))


@methods
def test_whole_pixels_move_down_and_right_and_leave_fill(method, order):
    got = np.asarray(warp(X, affine_matrix((6, 5), translate=(2.0, -1.0)), method=method, fill=9))
    np.testing.assert_array_equal(got[:, 2:, :-1], X[:, :-2, 1:])
    assert (got[:, :2] == 9).all()
    assert (got[:, :, -1] == 9).all()


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_matrices_are_the_inverse_of_scale_shear_rotation_and_move(rng):
    degrees, scale, (down, right), move = rng.uniform(-180, 180), rng.uniform(0.3, 3), *rng.uniform(-0.7, 0.7, (2, 2))
    got = np.asarray(affine_matrix((7, 4), degrees=degrees, scale=scale, shear=(down, right), translate=tuple(move)))
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    forward = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, down], [right, 1]]) * scale
    center, point = np.array([3, 1.5]), rng.normal(size=2)
    moved = center + move + forward @ (point - center)
    np.testing.assert_allclose(got[:, :2] @ moved + got[:, 2], point, rtol=1e-4, atol=1e-4)


def test_one_matrix_an_image_and_one_for_all():
    degrees = jnp.array([0.0, 20.0, 45.0, -70.0])
    matrices = affine_matrix((6, 5), degrees=degrees)
    together = warp(X, matrices)
    for i in range(4):
        np.testing.assert_array_equal(warp(X, matrices[i])[i], together[i])
        np.testing.assert_allclose(matrices[i], affine_matrix((6, 5), degrees=float(degrees[i])), atol=1e-6)


def test_nearest_invents_no_value():
    labels = (X > 100).astype(jnp.int32) * 7
    assert set(np.unique(random_rotate(labels, 180, method="nearest", key=KEY))) == {0, 7}


def test_random_amounts_stay_in_range_on_both_sides():
    x = jnp.zeros((200, 9, 9, 1)).at[:, 4, 7, 0].set(1)  # a point right of the centre tells the angle
    out = np.asarray(random_rotate(x, 30, key=KEY))[..., 0]
    rows, columns = np.mgrid[:9, :9] - 4
    angle = np.rad2deg(np.arctan2(-(out * rows).sum((1, 2)), (out * columns).sum((1, 2))))
    assert -32 < angle.min() < -25
    assert 25 < angle.max() < 32
    moved = np.asarray(random_affine(x, translate=0.1, key=KEY))[..., 0]
    shift = (moved * columns).sum((1, 2)) - 3
    assert np.abs(shift).max() <= 0.9 + 1e-4
    assert shift.min() < -0.7
    assert shift.max() > 0.7


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: warp(X, jnp.ones((3, 2, 3))), ValueError, r"warp: expected matrices \(2, 3\) or \(4, 2, 3\), found"),
        (lambda: warp(X, jnp.ones((2, 3)), method="cubic"), ValueError, "warp: method is 'bilinear' or .*'cubic'"),
        (lambda: warp(X, jnp.ones((2, 3)), fill=256), ValueError, r"warp: fill for uint8 .* in 0\.\.255, found 256"),
        (lambda: warp(X, jnp.ones((2, 3)), fill=0.5), ValueError, "warp: fill for uint8 .* found 0.5"),
        (lambda: warp(X > 9, jnp.ones((2, 3))), TypeError, "warp: expected integers or floating point, found bool"),
        (lambda: affine_matrix((6, 5), scale=0.0), ValueError, "affine_matrix: expected a positive scale"),
        (lambda: affine_matrix((6, 5), shear=(1.0, 1.0)), ValueError, "affine_matrix: expected .* product below 1"),
        (lambda: random_rotate(X, -3, key=KEY), ValueError, r"random_rotate: degrees lies in \[0, 360\], found -3"),
        (lambda: random_affine(X, translate=2, key=KEY), ValueError, "random_affine: translate lies in .*found 2"),
        (lambda: random_affine(X, shear=1, key=KEY), ValueError, "random_affine: shear lies in .*found 1"),
        (lambda: random_affine(X, scale=(2, 1), key=None), ValueError, r"random_affine: scale is .*found \(2, 1\)"),
        (lambda: random_affine(X, scale=(0, 1), key=KEY), ValueError, r"random_affine: scale is .*found \(0, 1\)"),
        (lambda: random_affine(X, scale=(1, np.nan), key=KEY), ValueError, "random_affine: scale is"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
