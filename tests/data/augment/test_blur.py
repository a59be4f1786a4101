"""The blur against SciPy, its mean, its widths; bad input. Sharpness against PIL is in `test_color.py`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from jnn.data.augment import adjust_sharpness, gaussian_blur, random_blur

KEY = jax.random.key(0)
X = jax.random.uniform(jax.random.key(9), (3, 9, 7, 2))


@pytest.mark.parametrize(("sigma", "radius"), [(0.3, 1), (1.0, 2), (2.5, 5), (4.0, 9)])
def test_matches_scipy(sigma, radius):
    got = jax.jit(lambda x: gaussian_blur(x, sigma, radius=radius))(X)
    expected = scipy.ndimage.gaussian_filter(np.asarray(X, np.float64), sigma, axes=(1, 2), radius=radius)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_keeps_the_mean_and_a_narrow_one_keeps_the_image():
    sigma = jnp.array([0.5, 1.5, 3.0])
    blurred = gaussian_blur(X, sigma, radius=4)
    np.testing.assert_allclose(blurred.mean((1, 2)), X.mean((1, 2)), rtol=1e-5)
    assert (blurred.std((1, 2)) < X.std((1, 2))).all()
    np.testing.assert_allclose(gaussian_blur(X, 0.01, radius=2), X, rtol=1e-6)
    for i in range(3):
        np.testing.assert_allclose(gaussian_blur(X, float(sigma[i]), radius=4)[i], blurred[i], rtol=1e-6)


def test_random_widths_stay_in_range():
    point = jnp.zeros((200, 1, 41, 1)).at[:, 0, 20, 0].set(1)
    out = np.asarray(random_blur(point, key=KEY, sigma=(1.0, 3.0), radius=20))[:, 0, :, 0]
    sigma = np.sqrt((out * (np.arange(41) - 20) ** 2).sum(1))
    assert 0.99 < sigma.min() < 1.1
    assert 2.9 < sigma.max() < 3.01


def test_sharpness_of_what_is_all_border_is_the_image():
    np.testing.assert_array_equal(adjust_sharpness(X[:, :2], 0.0), X[:, :2])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gaussian_blur(X, 0.0, radius=1), ValueError, "gaussian_blur: sigma and radius .*found 0.0, 1"),
        (lambda: gaussian_blur(X, 1.0, radius=0), ValueError, "gaussian_blur: sigma and radius .*found 1.0, 0"),
        (lambda: gaussian_blur(X > 0, 1.0, radius=1), TypeError, "gaussian_blur: expected integers or .*found bool"),
        (lambda: random_blur(X, key=KEY, sigma=(0, 1)), ValueError, r"random_blur: sigma is .*found \(0, 1\)"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
