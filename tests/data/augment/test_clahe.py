"""CLAHE pixel by pixel as the paper has it, its symmetries and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data.augment import clahe
from tests.oracle import configurations


def by_pixel(image, tiles, limit):
    """One channel of 256 colours: each pixel by the curves of the tiles around it, as shares."""
    sides = [-(-n // k) for n, k in zip(image.shape, tiles, strict=True)]
    mirrored = np.pad(
        image, [(0, s * k - n) for s, k, n in zip(sides, tiles, image.shape, strict=True)], mode="reflect"
    )
    area, curves = sides[0] * sides[1], {}
    for i in range(tiles[0]):
        for j in range(tiles[1]):
            tile = mirrored[i * sides[0] : (i + 1) * sides[0], j * sides[1] : (j + 1) * sides[1]]
            counts = np.bincount(tile.ravel(), minlength=256).astype(float)
            most = limit * area / 256
            excess = sum(max(count - most, 0) for count in counts)
            curves[i, j] = np.cumsum(np.minimum(counts, most) + excess / 256) / area
    out = np.zeros(image.shape)
    for y, x in np.ndindex(image.shape):
        for (i, j), curve in curves.items():
            at = [(i + 0.5) * sides[0] - 0.5, (j + 0.5) * sides[1] - 0.5]  # a tile's middle
            weight = 1.0
            for place, middle, side, n in zip((y, x), at, sides, tiles, strict=True):
                within = min(max(place, (side - 1) / 2), (n - 0.5) * side - 0.5)  # beyond the outermost as at theirs
                weight *= max(0.0, 1 - abs(within - middle) / side)
            out[y, x] += weight * curve[image[y, x]]
    return out


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_is_the_papers_pixel_by_pixel(rng):
    height, width = rng.integers(5, 14, 2)
    tiles, limit = (int(rng.integers(1, 5)), int(rng.integers(1, 5))), float(rng.uniform(0.5, 40))
    x = rng.integers(60, 120, (2, height, width, 2)).astype(np.uint8)
    floats, whole = jax.jit(lambda x: [clahe(y, tiles=tiles, clip_limit=limit) for y in (x / 255, x)])(x)
    for i, k in np.ndindex(2, 2):
        expected = by_pixel(x[i, ..., k], tiles, limit)
        np.testing.assert_allclose(floats[i, ..., k], expected, atol=1e-5)
        np.testing.assert_allclose(whole[i, ..., k], expected * 255, atol=0.501)


def test_flips_commute_and_a_limit_of_few_pixels_keeps_colours():
    """The lower the limit, the nearer every curve is to a straight line."""
    x = jax.random.uniform(jax.random.key(0), (1, 8, 6, 1))
    of = jax.jit(lambda x: (clahe(x, tiles=(4, 2)), clahe(x[:, ::-1, ::-1], tiles=(4, 2)), clahe(x, clip_limit=1e-3)))
    one, flipped, flat = of(jnp.pad(x, ((0, 0), (0, 0), (0, 2), (0, 0))))
    np.testing.assert_allclose(one, flipped[:, ::-1, ::-1], atol=1e-6)
    np.testing.assert_allclose(flat[:, :, :6], x, atol=1.01 / 256 + 0.51 / 255)


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (jnp.ones((1, 8, 8, 1)), {"tiles": (9, 1)}, ValueError, r"from 1 to 8 x 8 tiles and .*found \(9, 1\) and 4.0"),
        (jnp.ones((1, 8, 8, 1)), {"clip_limit": 0.0}, ValueError, r"from 1 to 8 x 8 tiles and a positive limit, found"),
        (jnp.full((1, 8, 8, 1), 1.5), {}, ValueError, "floating-point images"),
        (jnp.ones((1, 8, 8, 1), jnp.int32), {}, TypeError, r"uint8 in 0\.\.255 or floating point"),
        (jnp.ones((8, 8, 1)), {}, ValueError, "a non-empty batch of images"),
    ],
)
def test_bad_input_is_one_clear_error(x, options, error, message):
    with pytest.raises(error, match=f"^clahe: expected {message}"):
        clahe(x, **options)
