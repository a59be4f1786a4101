"""Image losses and similarities against convolutions in torch, and with bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jnn import losses
from jnn.image_similarity import ms_ssim, psnr, ssim
from tests.losses.exact import assert_exact, in_float64
from tests.oracle import configurations


def similarities(x, y, window, sigma):
    """Luminance, and contrast times structure, of images (b, y, x, c) in [0, 1], by one kernel of both axes."""
    channels = x.shape[-1]
    z = torch.arange(window).double() - (window - 1) / 2
    kernel = torch.exp(-(z[:, None] ** 2 + z**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(channels, 1, window, window)
    blur = lambda u: F.conv2d(u.permute(0, 3, 1, 2), kernel, groups=channels)
    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    return (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4), (2 * vxy + 9e-4) / (vx + vy + 9e-4)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_similarities_match_torch(rng):
    shape, window, sigma, peak = (
        (2, *rng.integers(8, 14, 2), 2),
        int(rng.integers(2, 5)),
        float(rng.uniform(0.5, 2)),
        3.0,
    )
    x = rng.uniform(0, peak, shape)
    y = 0.8 * x + 0.2 * rng.uniform(0, peak, shape)
    how = {"window": window, "sigma": sigma, "peak": peak}

    def ours(x, y):
        return jnp.stack(
            [losses.ssim_loss(x, y, **how), losses.ms_ssim_loss(x, y, scales=(0.3, 0.7), **how), psnr(x, y, peak=peak)]
        )

    def theirs(x, y):
        x, y = x / peak, y / peak
        (light, shape), half = (
            similarities(x, y, window, sigma),
            lambda u: F.avg_pool2d(u.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1),
        )
        coarse = torch.mean(torch.mul(*similarities(half(x), half(y), window, sigma)), (-2, -1))
        both = shape.mean((-2, -1)) ** 0.3 * coarse**0.7
        decibels = 10 * torch.log10(1 / ((x - y) ** 2).mean((1, 2, 3)))
        return torch.stack([1 - (light * shape).mean((1, 2, 3)), 1 - both.mean(-1), decibels])

    assert_exact(ours, theirs, x, y, tolerance=1e-8)


def test_total_variation_and_lpips_match_torch():
    rng = np.random.default_rng(0)
    a, b, w, v = rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(2, 4, 5, 3)), rng.uniform(size=3), rng.uniform(size=3)

    def theirs(a, b, w, v):
        variation = a.diff(dim=1).abs().sum((1, 2, 3)) + a.diff(dim=2).abs().sum((1, 2, 3))
        apart = lambda a, b, w: ((F.normalize(a, dim=-1) - F.normalize(b, dim=-1)) ** 2 @ w).mean((1, 2))
        return torch.stack([variation, apart(a, b, w) + apart(a[:, :2] ** 3, b[:, :2], v)])

    def ours(a, b, w, v):
        return jnp.stack([losses.total_variation(a), losses.lpips([a, a[:, :2] ** 3], [b, b[:, :2]], [w, v])])

    assert_exact(ours, theirs, a, b, w, v)


def noisy(rows, columns):
    """An image and a noisier one."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(1, rows, columns, 1))
    return x, np.clip(x + 0.1 * rng.normal(size=x.shape), 0, 1)


def test_the_default_window_is_that_of_the_paper():
    x, y = noisy(12, 13)
    light, shape = similarities(torch.tensor(x), torch.tensor(y), 11, 1.5)
    np.testing.assert_allclose(in_float64(ssim, x, y), (light * shape).mean((1, 2, 3)), rtol=1e-9)


@pytest.mark.slow
def test_the_default_scales_are_those_of_the_paper():
    x, y = noisy(180, 176)
    product, (a, b) = 1.0, (torch.tensor(x), torch.tensor(y))
    for i, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        light, shape = similarities(a, b, 11, 1.5)
        product *= float((shape if i < 4 else light * shape).mean()) ** weight
        a, b = (F.avg_pool2d(u.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1) for u in (a, b))
    np.testing.assert_allclose(in_float64(ms_ssim, x, y), product, rtol=1e-9)


def test_equal_flat_and_negative_images_are_finite():
    flat = jnp.zeros((1, 8, 8, 1))
    stripes = flat.at[:, ::2].set(1.0)
    x, y = jnp.concatenate([flat, stripes, stripes]), jnp.concatenate([flat, 1 - stripes, stripes])

    @jax.jit
    def values_and_gradients(x):
        each = lambda x: jnp.stack(
            [
                losses.ssim_loss(x, y, window=3),
                losses.ms_ssim_loss(x, y, window=3, scales=(0.04, 0.96)),
                losses.lpips([x], [y], [jnp.ones(1)]),
                losses.total_variation(x),
            ]
        )
        return each(x), jax.grad(lambda x: each(x).sum())(x)

    values, gradients = values_and_gradients(x)
    np.testing.assert_allclose(values[:3, 0], 0, atol=1e-6)
    np.testing.assert_allclose(values[:2, 2], 0, atol=1e-5)
    assert np.isfinite(values).all()
    assert np.isfinite(gradients).all()


X = jnp.zeros((1, 8, 8, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ssim(X, X), ValueError, r"ssim: expected images as large as the window of 11 pixels .* found 8 x 8"),
        (lambda: ssim(X, X, window=0), ValueError, "ssim: expected window of 1 or more, found 0"),
        (lambda: ms_ssim(X, X, window=5), ValueError, "ms_ssim: expected images as large as the window of 5 .* 4 x 4"),
        (lambda: losses.ssim_loss(X, X[..., :1]), ValueError, "ssim: expected equal shapes"),
        (lambda: psnr(X, X, peak=0.0), ValueError, r"psnr: expected peak > 0, found 0"),
        (lambda: psnr(X, X.astype("uint8")), TypeError, r"found uint8\[.*\]. Give x / 255, or .* with peak=255"),
        (lambda: psnr(X > 0, X), TypeError, "psnr: expected floating-point input, found bool"),
        (lambda: losses.total_variation(X[0, 0]), ValueError, "total_variation: expected an array of rank 3"),
        (lambda: losses.lpips([X], [X], []), ValueError, "features and weights of the same layers, found 1, 1 and 0"),
        (lambda: losses.lpips([X], [X], [jnp.ones(3)]), ValueError, r"lpips: its parameters expect input \[\.\.\.,3\]"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
