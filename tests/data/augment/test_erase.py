"""What is painted over is a rectangle of the size asked for; all else stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data.augment import cutout, random_erasing

KEY = jax.random.key(0)
X = jax.random.randint(jax.random.key(9), (500, 8, 6, 2), 1, 255).astype(jnp.uint8)


def painted(out, fill=0):
    """Where all channels are `fill` (b, y, x); all other pixels must be X's."""
    mask = (np.asarray(out) == fill).all(-1)
    np.testing.assert_array_equal(np.asarray(out)[~mask], np.asarray(X)[~mask])
    return mask


def assert_rectangles(mask):
    rows, columns = mask.any(2), mask.any(1)
    np.testing.assert_array_equal(mask, rows[:, :, None] & columns[:, None, :])
    for line in (rows, columns):
        assert (np.abs(np.diff(line, axis=1, prepend=False, append=False).astype(int)).sum(1) <= 2).all()


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_cutout_is_a_square_centred_anywhere(size):
    mask = painted(cutout(X, size, key=KEY))
    assert_rectangles(mask)
    first = np.maximum(np.arange(-(size // 2), 8 - size // 2), 0)
    last = np.minimum(np.arange(-(size // 2), 8 - size // 2) + size, 8)
    assert {tuple(np.flatnonzero(rows)) for rows in mask.any(2)} == {
        tuple(range(a, b)) for a, b in zip(first, last, strict=True)
    }
    assert mask.any(1).sum(1).max() == size


def test_erasing_paints_its_share_of_the_images_in_the_colour_asked_for():
    erased = random_erasing(X, key=KEY, probability=0.3, area=(0.2, 0.5), ratio=(0.5, 2.0), fill=255)
    mask = painted(erased, 255)
    assert_rectangles(mask)
    assert 115 < mask.any((1, 2)).sum() < 185
    share = mask.mean((1, 2))[mask.any((1, 2))]
    assert 0.1 < share.min() < 0.25  # rounded to whole pixels
    assert 0.4 < share.max() < 0.65
    assert painted(random_erasing(X, key=KEY, probability=1.0, area=(0.2, 0.5), fill=255), 255).any((1, 2)).all()
    np.testing.assert_array_equal(random_erasing(X, key=KEY, probability=0), X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cutout(X, 0, key=KEY), "cutout: size is 1 or more pixels, found 0"),
        (lambda: cutout(X, 2, key=KEY, fill=-1), r"cutout: fill for uint8 .*found -1"),
        (lambda: random_erasing(X, key=KEY, probability=1.5), r"random_erasing: probability .*found 1.5"),
        (lambda: random_erasing(X, key=KEY, area=(0.5, 0.1)), r"random_erasing: area is .*found \(0.5, 0.1\)"),
        (lambda: random_erasing(X, key=KEY, ratio=(0, 1)), r"random_erasing: ratio is .*found \(0, 1\)"),
        (lambda: random_erasing(X, key=KEY, fill=0.5), r"random_erasing: fill for uint8 .*found 0.5"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
