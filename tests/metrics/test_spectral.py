"""Fidelity of images of several bands against plain formulas and torchmetrics."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import metrics as M
from jnn.image_similarity import universal_image_quality
from tests.metrics.examples import imaged
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))


def quality(x, y, window, sigma):
    """The index of two images (y, x) of one channel, place by place."""
    z = np.exp(-(((np.arange(window) - (window - 1) / 2) / sigma) ** 2) / 2)
    w = np.outer(z, z) / np.outer(z, z).sum()
    places = itertools.product(*(range(n - window + 1) for n in x.shape))
    values = []
    for i, j in places:
        a, b = (image[i : i + window, j : j + window] for image in (x, y))
        ma, mb = (w * a).sum(), (w * b).sum()
        variances, covariance = (w * ((a - ma) ** 2 + (b - mb) ** 2)).sum(), (w * (a - ma) * (b - mb)).sum()
        values.append(4 * covariance * ma * mb / variances / (ma**2 + mb**2))
    return np.mean(values)


@rngs
def test_metrics_of_images_are_their_formulas(rng):
    x, y, _ = imaged(rng, n=2, size=5)
    exact = [(a.astype(float), b.astype(float)) for a, b in zip(x, y, strict=True)]
    norm = lambda a: np.linalg.norm(a, axis=-1)
    error = lambda a, b: np.sqrt(np.mean((a - b) ** 2, (0, 1)))
    pairs = list(itertools.combinations(range(3), 2))
    between = lambda a: np.array([quality(a[..., i], a[..., j], 3, 1.5) for i, j in pairs])
    windows = [(i, j) for i in range(4) for j in range(4)]
    theirs = {
        "angle": lambda a, b: np.mean(np.arccos((a * b).sum(-1) / norm(a) / norm(b))),
        "ergas": lambda a, b: 100 / 2 * np.sqrt(np.mean((error(a, b) / b.mean((0, 1))) ** 2)),
        "rase": lambda a, b: 100 / b.mean() * np.sqrt(np.mean(error(a, b) ** 2)),
        "windowed": lambda a, b: np.mean([error(a[i : i + 2, j : j + 2], b[i : i + 2, j : j + 2]) for i, j in windows]),
        "distortion": lambda a, b: np.mean(abs(between(a) - between(b[:4]))),
        "quality": lambda a, b: np.mean([quality(a[..., i], b[..., i], 3, 1.5) for i in range(3)]),
    }

    @jax.jit
    def ours(x, y):
        return {
            "angle": M.spectral_angle(x, y).value(),
            "ergas": M.ergas(x, y, ratio=2).value(),
            "rase": M.rase(x, y).value(),
            "windowed": M.windowed_root_mean_squared_error(x, y, window=2).value(),
            "distortion": M.spectral_distortion(x, y[:, :4], window=3).value(),
            "quality": universal_image_quality(x, y, window=3).mean(),
        }

    found = ours(x, y)
    for name, metric in theirs.items():
        expected = np.mean([metric(a, b) for a, b in exact])
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, err_msg=name)


def test_flat_and_equal_images_and_dark_ones():
    x = imaged(np.random.default_rng(0), n=1, size=4)[0]
    flat = jnp.ones_like(x).at[:, :2].set(0.0)

    @jax.jit
    def of(x, y):
        metrics = M.spectral_angle(x, y), M.ergas(x, y), M.rase(x, y)
        return universal_image_quality(x, y, window=2).mean(), *(metric.value() for metric in metrics)

    for image in (x, flat, 0 * flat, 1e18 * x):
        np.testing.assert_allclose(of(image, image), [1, 0, 0, 0], atol=1e-5)
    # twice as bright: 2 * 1 * 2 / (1 + 4), once where a window is flat, and once more for the contrast at the edge
    np.testing.assert_allclose(of(flat + 1, 2 * flat + 2)[:2], [0.8 * 2 / 3 + 0.64 / 3, 0], atol=1e-5)
    np.testing.assert_allclose(of(x, 0 * x)[1], np.pi / 2, rtol=1e-6)
    assert np.isfinite(of(x, 0 * x)).all()


@pytest.mark.slow
@rngs
def test_metrics_of_images_are_torchmetrics(rng):
    theirs, torch = pytest.importorskip("torchmetrics.functional.image"), pytest.importorskip("torch")
    scale = 10 ** rng.uniform(0, 3)
    x, y = (scale * image for image in imaged(rng, n=2, size=16)[:2])
    pair = [torch.tensor(image).permute(0, 3, 1, 2) for image in (x, y)]
    near = lambda ours, name, *args: np.testing.assert_allclose(ours, getattr(theirs, name)(*args), rtol=1e-3)
    near(universal_image_quality(x, y).mean(), "universal_image_quality_index", *pair)
    near(M.spectral_angle(x, y).value(), "spectral_angle_mapper", *pair)
    near(M.ergas(x, y).value(), "error_relative_global_dimensionless_synthesis", *pair)
    one = [image[:1] for image in pair]
    near(M.spectral_distortion(x[:1], y[:1, :12]).value(), "spectral_distortion_index", one[1][:, :, :12], one[0])
    for window in (5, 9):  # of those sizes it looks at every place where the window fits in
        ours = M.windowed_root_mean_squared_error(x, y, window=window).value()
        near(ours, "root_mean_squared_error_using_sliding_window", *pair, window)
