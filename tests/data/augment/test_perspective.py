"""Perspectives against a solved homography and SciPy, elastic deformation against SciPy; identities and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from jnn.data.augment import affine_matrix, perspective_matrix, random_elastic, random_perspective, warp
from tests.oracle import configurations

X = jax.random.randint(jax.random.key(9), (4, 6, 5, 3), 0, 255).astype(jnp.uint8)
KEY = jax.random.key(0)
CORNERS = np.array([[0.0, 0.0], [0.0, 4.0], [5.0, 4.0], [5.0, 0.0]])
LINE = jnp.array([[0.1, 0.3], [0.2, 0.6], [0.3, 0.9], [5.0, 0.0]])  # not so that float32 sees it exactly


def read(image, places, order):
    """SciPy's reading of an image (y, x, c) at places (2, y, x), with 0.25 around it."""
    channels = [
        scipy.ndimage.map_coordinates(one, places, order=order, mode="grid-constant", cval=0.25)
        for one in np.moveaxis(np.asarray(image, np.float64), -1, 0)
    ]
    return np.stack(channels, -1)


def homography(sources, targets):
    """The matrix that sends four points to four others, its last entry 1: eight linear equations."""
    rows, right = [], []
    for (y, x), target in zip(sources, targets, strict=True):
        for i in range(2):
            own = [y, x, 1]
            rows.append([*(own if i == 0 else [0] * 3), *(own if i == 1 else [0] * 3), -target[i] * y, -target[i] * x])
            right.append(target[i])
    return np.append(np.linalg.solve(rows, right), 1).reshape(3, 3)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_matches_a_solved_homography_and_scipy(rng):
    corners = CORNERS + rng.uniform(-0.9, 0.9, (3, 4, 2))
    matrices = jax.jit(lambda c: perspective_matrix((6, 5), c))(corners.astype(np.float32))
    x = rng.normal(size=(3, 6, 5, 2)).astype(np.float32)
    got = jax.jit(lambda x, m: (warp(x, m, fill=0.25), warp(x, m, method="nearest", fill=0.25)))(x, matrices)
    grid = np.stack([*np.mgrid[:6, :5], np.ones((6, 5))])
    for i in range(3):
        exact = homography(corners[i], CORNERS)
        ratio = np.asarray(matrices[i]) / np.asarray(matrices[i])[2, 2]
        np.testing.assert_allclose(ratio, exact, rtol=1e-3, atol=1e-4)
        y, x_, depth = np.tensordot(exact, grid, 1)
        places = np.stack([y, x_]) / depth
        np.testing.assert_allclose(got[0][i], read(x[i], places, 1), atol=1e-3)
        near = np.abs(places - np.floor(places) - 0.5).min(0) < 1e-3  # halfway, where either pixel is right
        np.testing.assert_allclose(got[1][i][~near], read(x[i], places, 0)[~near], atol=1e-5)


def test_corners_at_their_places_are_the_identity_and_what_lies_behind_the_viewer_is_fill():
    still = perspective_matrix((6, 5), jnp.asarray(CORNERS, jnp.float32))
    np.testing.assert_array_equal(still, np.eye(3))
    third = jnp.array([[[0.0, 0.0, 1.0]], [[0.0, 0.0, 1.0]], [[0.5, 0.0, -1.0]], [[0.0, 0.0, 0.0]]])
    matrices = jnp.concatenate([jnp.broadcast_to(affine_matrix((6, 5)), (4, 2, 3)), third], 1)
    got = np.asarray(jax.jit(lambda x, m: warp(x, m, fill=9))(X, matrices))
    np.testing.assert_array_equal(got[:2], X[:2])
    assert (got[2, :3] == 9).all()
    assert (got[3] == 9).all()


def test_three_corners_on_a_line_are_nan_where_values_are_unknown_and_the_others_of_a_batch_are_not():
    """Each three of them; two in one place are on a line with any third."""
    lines = [np.roll(LINE, i, 0) for i in range(4)] + [CORNERS[[0, 0, 2, 3]]]
    found = jax.jit(lambda c: perspective_matrix((6, 5), c))(np.array([*lines, CORNERS], np.float32))
    assert np.isnan(found[:-1]).all()
    np.testing.assert_array_equal(found[-1], np.eye(3))


def test_corners_move_inwards_up_to_the_distortion():
    of = lambda x, y, key: (random_perspective(x, 0.5, key=key, method="nearest"), random_perspective(y, 0.0, key=key))
    seen, still = jax.jit(of)(jnp.ones((300, 9, 9, 1)), X, KEY)
    np.testing.assert_array_equal(still, X)
    seen = np.asarray(seen)[..., 0]
    assert (seen[:, 2:7, 2:7] == 1).all()  # a quarter of 8 pixels
    np.testing.assert_allclose(seen[:, [0, 0, 8, 8], [0, 8, 0, 8]].mean(), 1 / 16, atol=0.03)  # within half a pixel


@pytest.mark.parametrize("method", ["bilinear", pytest.param("nearest", marks=pytest.mark.slow)])
def test_elastic_matches_scipy(method):
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 2)).astype(np.float32)
    noise = np.asarray(jax.random.uniform(KEY, (2, 9, 8, 2), minval=-1.0), np.float64)
    of = lambda x, alpha, key: random_elastic(x, alpha, 1.3, key=key, method=method, fill=0.25)
    got, still = jax.jit(lambda x, key: (of(x, 6.0, key), of(x, 0.0, key)))(x, KEY)
    np.testing.assert_array_equal(still, x)  # no force
    for i in range(2):
        field = [6 * scipy.ndimage.gaussian_filter(noise[i, ..., k], 1.3, radius=4) for k in range(2)]
        places = np.mgrid[:9, :8] + np.stack(field)
        near = np.abs(places - np.floor(places) - 0.5).min(0) < 1e-3 * (method == "nearest")
        order = 1 if method == "bilinear" else 0
        np.testing.assert_allclose(got[i][~near], read(x[i], places, order)[~near], atol=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: warp(X, jnp.ones((2, 3, 3))), ValueError, r"warp: expected matrices .*three rows"),
        (lambda: warp(X, jnp.ones(3)), ValueError, r"warp: expected matrices \(2, 3\) or .*found float32\[3\]"),
        (lambda: perspective_matrix((6, 5), jnp.ones((4, 3))), ValueError, "perspective_matrix: expected corners"),
        (lambda: perspective_matrix((1, 5), jnp.ones((4, 2))), ValueError, "perspective_matrix: .* and 1 x 5"),
        (lambda: perspective_matrix((6, 5), jnp.ones((4, 2), int)), TypeError, "perspective_matrix: expected floating"),
        (
            lambda: perspective_matrix((6, 5), LINE),
            ValueError,
            "perspective_matrix: expected corners of which no three",
        ),
        (lambda: random_perspective(X, 0.7, key=KEY), ValueError, r"random_perspective: distortion lies in \[0, 0.66"),
        (lambda: random_perspective(X, 0.5, key=KEY, method="x"), ValueError, "random_perspective: method is 'bilin"),
        (lambda: random_elastic(X, -1.0, 1.0, key=KEY), ValueError, "random_elastic: alpha lies in .*found -1"),
        (
            lambda: random_elastic(X, 1.0, 0.0, key=None),
            ValueError,
            "random_elastic: sigma must be positive, found 0.0",
        ),
        (lambda: random_elastic(X, 1.0, 1.0, key=KEY, fill=0.5), ValueError, "random_elastic: fill for uint8"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
