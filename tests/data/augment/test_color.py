"""Colours and tones against PIL and colorsys; neutral amounts, ranges and errors."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from jnn.data import augment as a

KEY = jax.random.key(0)
X = jax.random.randint(jax.random.key(9), (4, 6, 5, 3), 0, 256).astype(jnp.uint8)
FACTORS = {
    "brightness": (a.adjust_brightness, ImageEnhance.Brightness),
    "contrast": (a.adjust_contrast, ImageEnhance.Contrast),
    "saturation": (a.adjust_saturation, ImageEnhance.Color),
    "sharpness": (a.adjust_sharpness, ImageEnhance.Sharpness),
}
factors = pytest.mark.parametrize("name", FACTORS)
# what PIL does, and how far its truncation may lie from rounding
TONES = {
    "posterize": (lambda x: a.posterize(x, 3), lambda image: ImageOps.posterize(image, 3), 0),
    "solarize": (lambda x: a.solarize(x, 100), lambda image: ImageOps.solarize(image, 100), 0),
    "invert": (a.invert, ImageOps.invert, 0),
    "equalize": (a.equalize, ImageOps.equalize, 0),
    "autocontrast": (a.autocontrast, ImageOps.autocontrast, 1),
    "grayscale": (a.grayscale, lambda image: image.convert("L").convert("RGB"), 1),
}


def pictures():
    """Pictures of many sizes whose channels differ in range; the last one's are of one or two colours."""
    rng = np.random.default_rng(0)
    for size in [(3, 4), (17, 16), (40, 31)]:
        yield (rng.uniform(0, 256, (*size, 3)) * rng.uniform(0, 1, (1, 1, 3))).astype(np.uint8)
    yield np.stack([np.full((20, 20), 7), rng.integers(0, 2, (20, 20)), np.zeros((20, 20))], -1).astype(np.uint8)


def assert_near(got, expected, error):
    assert got.dtype == jnp.uint8
    assert np.abs(np.asarray(got).astype(int) - np.asarray(expected).astype(int)).max() <= error


@factors
@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.9])
def test_factors_match_pil(name, factor):
    ours, theirs = FACTORS[name]
    ours = jax.jit(ours)
    for x in pictures():
        assert_near(ours(jnp.asarray(x)[None], factor)[0], theirs(Image.fromarray(x)).enhance(factor), 1)


@pytest.mark.parametrize("name", TONES)
def test_tones_match_pil(name):
    ours, theirs, error = TONES[name]
    ours = jax.jit(ours)
    for x in pictures():
        assert_near(ours(jnp.asarray(x)[None])[0], theirs(Image.fromarray(x)), error)


@pytest.mark.parametrize("name", TONES)
def test_tones_of_floats_are_those_of_uint8(name):
    ours, x = TONES[name][0], X.astype(jnp.float32) / 255
    threshold = lambda x: a.solarize(x, 99.5 / 255)
    got = (threshold if name == "solarize" else ours)(x)
    np.testing.assert_allclose(got, ours(X).astype(jnp.float32) / 255, atol=0.51 / 255)


@pytest.mark.parametrize("turn", [0.0, 1 / 3, -0.4, 0.99])
def test_hue_matches_colorsys(turn):
    x = jnp.concatenate([X, X // 128 * 255])  # pure colours and greys, too
    x = x.astype(jnp.float32) / 255
    turned = lambda rgb: (lambda h, s, v: colorsys.hsv_to_rgb((h + turn) % 1, s, v))(*colorsys.rgb_to_hsv(*rgb))
    expected = np.array([turned(rgb) for rgb in np.asarray(x, np.float64).reshape(-1, 3)]).reshape(x.shape)
    np.testing.assert_allclose(a.adjust_hue(x, turn), expected, rtol=1e-4, atol=1e-5)


def test_neutral_amounts_are_the_identity():
    for x in (X, X.astype(jnp.float32) / 255, (X / 255).astype(jnp.bfloat16)):
        for adjust, _ in FACTORS.values():
            np.testing.assert_array_equal(adjust(x, 1.0), x)
        np.testing.assert_array_equal(a.color_jitter(x, key=KEY), x)
        np.testing.assert_array_equal(a.solarize(x, 256), x)
    np.testing.assert_array_equal(a.adjust_hue(X, 0.0), X)
    np.testing.assert_array_equal(a.adjust_hue(X, 1.0), X)
    np.testing.assert_array_equal(a.posterize(X, 8), X)
    np.testing.assert_array_equal(a.invert(a.invert(X)), X)


@factors
def test_one_amount_an_image(name):
    adjust, amounts = FACTORS[name][0], jnp.array([0.0, 0.5, 1.0, 1.7])
    together = adjust(X, amounts)
    for i in range(4):
        np.testing.assert_array_equal(adjust(X[i : i + 1], float(amounts[i]))[0], together[i])


def test_grey_images_have_no_saturation_and_no_hue():
    grey = X[..., :1]
    for out in (a.adjust_saturation(grey, 0.3), a.adjust_hue(grey, 0.3), a.grayscale(grey)):
        np.testing.assert_array_equal(out, grey)
    np.testing.assert_array_equal(a.adjust_saturation(X, 0.0), a.grayscale(X))


def test_jitter_draws_evenly_from_its_range():
    x = jnp.full((300, 1, 1, 3), 0.5)
    factor = np.asarray(a.color_jitter(x, brightness=0.4, key=KEY))[:, 0, 0, 0] / 0.5
    assert 0.6 <= factor.min() < 0.63
    assert 1.37 < factor.max() <= 1.4
    assert abs(factor.mean() - 1) < 0.04
    red = jnp.broadcast_to(jnp.array([1.0, 0.0, 0.0]), (300, 1, 1, 3))
    hues = [colorsys.rgb_to_hsv(*map(float, rgb))[0] for rgb in a.color_jitter(red, hue=0.2, key=KEY)[:, 0, 0]]
    turns = (np.array(hues) + 0.5) % 1 - 0.5
    assert -0.2001 <= turns.min() < -0.18
    assert 0.18 < turns.max() <= 0.2001


def test_sometimes_augments_its_share_of_the_rows():
    x = jnp.ones((400, 3))
    changed = np.asarray(a.sometimes(x, lambda x, key: -x, 0.3, key=KEY)) < 0
    assert (changed.all(1) == changed.any(1)).all()
    assert 90 < changed.all(1).sum() < 150


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: a.adjust_brightness(X.astype(jnp.int32), 1.0), TypeError, "adjust_brightness: expected uint8 .*int32"),
        (lambda: a.invert(X * 1.0), ValueError, r"invert: expected floating-point images .* in \[0, 1\], found"),
        (lambda: a.adjust_hue(X[..., :2], 0.1), ValueError, r"adjust_hue: expected 1 channel .* or 3 .*,2\]"),
        (lambda: a.adjust_contrast(X, jnp.ones(3)), ValueError, r"adjust_contrast: .* each of 4 images, .*\(3,\)"),
        (lambda: a.equalize(X[0]), ValueError, r"equalize: expected a non-empty batch of images"),
        (lambda: a.posterize(X, 9), ValueError, r"posterize: bits lie in 0\.\.8, found 9"),
        (lambda: a.color_jitter(X, brightness=-1, key=KEY), ValueError, r"color_jitter: brightness .*found -1"),
        (lambda: a.color_jitter(X, hue=0.6, key=None), ValueError, r"color_jitter: hue lies in \[0, 0.5\], found 0.6"),
        (lambda: a.sometimes(X, lambda x, key: x, 2, key=KEY), ValueError, "sometimes: probability .*found 2"),
        (
            lambda: a.sometimes(X, lambda x, key: x[:, 1:], 0.5, key=KEY),
            ValueError,
            r"sometimes: .* uint8\[4,6,5,3\]; it returned uint8\[4,5,5,3\]",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
