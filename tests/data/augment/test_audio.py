"""SpecAugment's masks are bands of the widths asked for; shifts are windows; noise is exactly as loud as asked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data.augment import add_noise, spec_augment, time_shift

KEY = jax.random.key(0)
SPECTROGRAMS = jnp.ones((300, 30, 12))
WAVES = jax.random.normal(jax.random.key(1), (50, 64))


def masked(**arguments):
    """Whole frames and whole bands that are masked, (b, t) and (b, f); nothing else may be."""
    none = {"times": 0, "frequencies": 0, "time_width": 8, "frequency_width": 4, "lengths": None}
    out = np.asarray(spec_augment(SPECTROGRAMS, key=KEY, fill=-2.0, **(none | arguments)))
    time, band = (out == -2).all(2), (out == -2).all(1)
    np.testing.assert_array_equal(out, np.where(time[:, :, None] | band[:, None, :], -2, 1))
    return time, band


@pytest.mark.parametrize(("kind", "axis", "widest"), [("times", 0, 8), ("frequencies", 1, 4)])
def test_one_mask_is_one_stretch_with_a_width_from_0_to_the_widest(kind, axis, widest):
    mask = masked(**{kind: 1})[axis]
    edges = np.diff(mask, axis=1, prepend=False, append=False).sum(1)
    assert set(edges) == {0, 2}
    assert set(mask.sum(1)) == set(range(widest + 1))
    assert mask.any(0).all()  # every place is masked sometimes
    assert not masked(**{kind: 1})[1 - axis].any()


def test_more_masks_hide_more_and_a_share_bounds_them_by_the_length():
    one, three = masked(times=1)[0], masked(times=3)[0]
    assert one.mean() < 0.7 * three.mean()
    lengths = jnp.full(300, 20)
    mask = masked(times=1, time_width=30, time_share=0.25, lengths=lengths)[0]
    assert not mask[:, 20:].any()
    assert mask.sum(1).max() == 5


def test_a_shift_is_a_window_of_the_wave_between_silences_and_all_occur():
    x = jnp.broadcast_to(jnp.arange(1, 7), (200, 6))
    padded = np.pad(np.arange(1, 7), 2)
    windows = {tuple(padded[i : i + 6]) for i in range(5)}
    assert {tuple(row) for row in np.asarray(time_shift(x, 2, lengths=None, key=KEY))} == windows
    short = np.asarray(time_shift(x, 2, lengths=jnp.full(200, 4), key=KEY))
    padded = np.pad(np.arange(1, 5), 2)
    assert {tuple(row) for row in short} == {(*padded[i : i + 4], 5, 6) for i in range(5)}


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("snr", [-10.0, 0.0, 25.0])
def test_noise_is_exactly_as_loud_as_asked(snr, recorded):
    lengths = jnp.arange(15, 65)
    noise = jnp.sin(jnp.arange(64.0)[None] * jnp.arange(1.0, 51.0)[:, None]) if recorded else None
    out = np.asarray(add_noise(WAVES, (snr, snr), lengths=lengths, key=KEY, noise=noise), np.float64)
    added, real = out - np.asarray(WAVES), np.arange(64) < np.asarray(lengths)[:, None]
    power = lambda a: (a**2 * real).sum(1)
    np.testing.assert_allclose(10 * np.log10(power(np.asarray(WAVES)) / power(added)), snr, atol=1e-3)
    if recorded:
        shape = added * real / np.sqrt(power(added))[:, None]
        expected = np.asarray(noise) * real / np.sqrt(power(np.asarray(noise)))[:, None]
        np.testing.assert_allclose(shape, expected, atol=1e-4)


def test_ratios_are_drawn_from_their_range_and_silence_stays():
    out = np.asarray(add_noise(jnp.tile(WAVES, (6, 1)), (5.0, 15.0), lengths=None, key=KEY))
    waves = np.tile(WAVES, (6, 1))
    ratios = 10 * np.log10((waves**2).sum(1) / ((out - waves) ** 2).sum(1))
    assert 4.99 < ratios.min() < 5.3
    assert 14.7 < ratios.max() < 15.01
    assert abs(ratios.mean() - 10) < 0.6
    for quiet, noise in [(jnp.zeros((2, 8)), None), (WAVES, jnp.zeros_like(WAVES))]:
        np.testing.assert_array_equal(add_noise(quiet, (0.0, 0.0), lengths=None, key=KEY, noise=noise), quiet)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: spec_augment(SPECTROGRAMS, lengths=None, key=KEY, times=-1), ValueError, "spec_augment: .*0 or more"),
        (
            lambda: spec_augment(SPECTROGRAMS, lengths=None, key=KEY, time_share=1.5),
            ValueError,
            r"spec_augment: time_share lies in \[0, 1\], found 1.5",
        ),
        (
            lambda: spec_augment(jnp.ones((2, 3, 4), jnp.int32), lengths=None, key=KEY),
            TypeError,
            "spec_augment: expected floating-point input, found int32",
        ),
        (lambda: time_shift(WAVES, -1, lengths=None, key=KEY), ValueError, "time_shift: .*0 or more samples, found -1"),
        (lambda: add_noise(WAVES, (2, 1), lengths=None, key=KEY), ValueError, r"add_noise: snr .*found \(2, 1\)"),
        (
            lambda: add_noise(WAVES, (1, 2), lengths=None, key=KEY, noise=WAVES[:3]),
            ValueError,
            r"add_noise: expected equal shapes, found x float32\[50,64\], noise float32\[3,64\]",
        ),
        (
            lambda: add_noise(jnp.ones((2, 3), jnp.int16), (1, 2), lengths=None, key=KEY),
            TypeError,
            "add_noise: expected floating-point input, found int16",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
