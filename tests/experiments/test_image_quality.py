"""Numbers of how near images are, and of filters that take noise away."""

import numpy as np
import pytest

from experiments import classical_denoising
from experiments.image_quality import qualities, quality, side_by_side


def stripes(n=2, side=16):
    """Images (n, side, side, 3) of wide bright and dark stripes."""
    x = np.where(np.arange(side) // 4 % 2, 0.8, 0.2)[None, :, None, None]
    return np.broadcast_to(x, (n, side, side, 3)).astype(np.float32)


def test_what_lies_beyond_black_and_white_is_cut_off():
    clean = np.clip(stripes(), 0.5, 1)
    clean[:, :4] = 1
    over = np.where(clean == 1, 1.7, clean - 0.1)
    expected = np.where(clean == 1, 1, clean - 0.1)
    assert quality(over, clean) == quality(expected, clean)
    assert quality(clean, clean)["ssim"] == pytest.approx(1)


def test_of_many_images_it_is_the_mean():
    clean, rng = stripes(3), np.random.default_rng(0)
    found = clean + rng.normal(0, 0.05, clean.shape).astype(np.float32)
    each = [quality(found[i : i + 1], clean[i : i + 1])["psnr"] for i in range(3)]
    assert quality(found, clean)["psnr"] == pytest.approx(np.mean(each), rel=1e-5)
    assert sorted(qualities({"a": found}, clean)) == ["a_psnr", "a_ssim"]


def test_each_picture_says_its_psnr():
    clean = stripes()
    figure = side_by_side({"clean": clean, "darker": clean - 0.1}, [0, 1])
    assert [axes.get_title() for axes in figure.axes] == ["clean\n", "darker\n20.0 dB", "", "20.0 dB"]


def test_a_filter_leaves_what_is_flat_and_takes_noise_from_stripes():
    flat, clean, noise = np.full((1, 12, 12, 3), 0.3, np.float32), stripes(), 0.1
    noisy = clean + np.random.default_rng(0).normal(0, noise, clean.shape).astype(np.float32)
    for name, own in classical_denoising.filters(noise).items():
        np.testing.assert_allclose(own(flat), flat, rtol=1e-5, err_msg=name)
        assert own(noisy).dtype == np.float32
    name, best = classical_denoising.best_of(noisy, clean, noise)
    assert quality(best(noisy), clean)["psnr"] > quality(noisy, clean)["psnr"] + 3
    assert name.split()[0] in ("bilateral", "non-local")  # a blur takes the stripes, too


def test_non_local_means_are_means_of_pixels_with_like_patches():
    """Against loops over pixels."""
    x = np.random.default_rng(0).uniform(size=(1, 7, 6, 2))
    found = classical_denoising.non_local_means(x, 0.4, noise=0.1, reach=1, patch=1)
    wide = np.pad(x[0], ((1, 1), (1, 1), (0, 0)), mode="symmetric")
    for i, j in np.ndindex(7, 6):
        others = wide[i : i + 3, j : j + 3].reshape(9, 2)
        unlike = ((others - x[0, i, j]) ** 2).mean(-1)
        weights = np.exp(-np.maximum(unlike - 2 * 0.1**2, 0) / 0.4**2)
        np.testing.assert_allclose(found[0, i, j], weights @ others / weights.sum())


def test_a_bilateral_filter_of_like_colours_is_a_blur_and_of_none_the_image():
    x = np.random.default_rng(0).uniform(size=(1, 9, 9, 1))
    np.testing.assert_allclose(classical_denoising.bilateral(x, 1e-6), x)
    narrow = classical_denoising.bilateral(x, 1e6, reach=1, sigma=1.0)
    kernel = np.exp(-(np.arange(-1, 2) ** 2) / 2)
    expected = np.einsum("i,j,ij->", kernel, kernel, x[0, 3:6, 3:6, 0]) / kernel.sum() ** 2
    np.testing.assert_allclose(narrow[0, 4, 4, 0], expected)
