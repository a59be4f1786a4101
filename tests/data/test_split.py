"""Splits are partitions, standardising sees the training part only, synthetic sets are what they say."""

import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data import breast_cancer, diabetes, digits, fit_standard, noisy_sum, split, sum_above_half


@pytest.mark.parametrize(("n", "fraction"), [(10, 0.2), (7, 0.5), (2, 0.3), (100, 0.01)])
def test_a_split_is_a_partition_by_rows(n, fraction):
    arrays = {"x": np.arange(n), "y": 10 * np.arange(n)}
    kept, held = split(arrays, fraction, seed=0)
    assert sorted([*kept["x"], *held["x"]]) == list(range(n))
    assert len(held["x"]) == round(fraction * n)
    for part in (kept, held):
        np.testing.assert_array_equal(part["y"], 10 * part["x"])


def test_a_split_is_a_function_of_its_seed():
    arrays = {"x": np.arange(50)}
    held = [split(arrays, 0.2, seed=seed)[1]["x"].tolist() for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, 0.001, 0.999, float("nan")])
def test_a_split_that_leaves_a_part_empty_is_an_error(fraction):
    with pytest.raises(ValueError, match=r"split: fraction .* of 10 rows leaves a part empty"):
        split({"x": np.arange(10)}, fraction, seed=0)


def test_standardising_fits_the_rows_it_is_given_and_undoes_itself():
    x = np.random.default_rng(0).normal(5, 3, (200, 4)).astype(np.float32)
    standard = fit_standard(x)
    out = standard.apply(x)
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(0), 1, rtol=1e-5)
    np.testing.assert_allclose(standard.undo(out), x, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(fit_standard(x[:100]).mean, x[:100].mean(0, np.float64))


HELD = {0: ["bool", "uint8", "int8", "float16", "bfloat16"], 1.7e9: ["int32", "uint32", "float32"]}
HELD |= {1.7e12: ["int64", "uint64", "float64"]}  # seconds and milliseconds since 1970


@pytest.mark.parametrize(("offset", "dtype"), [(offset, dtype) for offset in HELD for dtype in HELD[offset]])
def test_standardised_features_have_mean_0_and_deviation_1_wherever_they_lie(offset, dtype):
    """In every dtype: features far from zero must not be shifted by the rounding of their mean."""
    x = np.random.default_rng(0).integers(0, 100, (300, 2)) + int(offset)
    x = (x > 50 if dtype == "bool" else x).astype(jnp.dtype(dtype))
    standard = fit_standard(x)
    out = standard.apply(x)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out.mean(0, np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(0, np.float64), 1, rtol=1e-6)
    np.testing.assert_allclose((standard.undo(out) - x.astype(np.float64)) / standard.deviation, 0, atol=1e-5)


@pytest.mark.parametrize("value", [0.1, 3e38, 1.7e9])  # the computed deviation is not exactly zero
def test_a_constant_feature_becomes_zero(value):
    x = np.full((10, 1), value, np.float32)
    np.testing.assert_allclose(fit_standard(x).apply(x), 0, atol=1e-7 * value)
    tiny = np.array([[0.0], [1e-200]])  # whose deviation is zero in 64 bits, too
    np.testing.assert_allclose(fit_standard(tiny).apply(tiny), 0, atol=1e-7)


def test_standardising_nan_is_an_error():
    with pytest.raises(ValueError, match="fit_standard: 'x' holds NaN or infinity, first in row 1"):
        fit_standard(np.array([[1.0], [np.nan]]))


def test_the_synthetic_sets_are_what_they_say():
    data = sum_above_half()
    assert (data["x"].shape, data["y"].shape) == ((1000, 10), (1000, 1))
    np.testing.assert_array_equal(data["y"][:, 0], data["x"].sum(1) > 5)
    data = noisy_sum(5000, 20, noise=0.1)
    noise = data["y"][:, 0] - data["x"].sum(1)
    assert 0.095 < noise.std() < 0.105
    for make in (sum_above_half, noisy_sum):
        np.testing.assert_array_equal(make(seed=1)["x"], make(seed=1)["x"])
        assert not np.array_equal(make(seed=1)["x"], make(seed=2)["x"])
        assert {array.dtype for array in make().values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("load", "shape", "classes"),
    [(digits, (1797, 8, 8), 10), (breast_cancer, (569, 30), 2), (diabetes, (442, 10), None)],
)
def test_the_embedded_sets(load, shape, classes):
    data = load()
    assert (data["x"].shape, data["x"].dtype) == (shape, np.float32)
    if classes:
        assert (set(data["y"].tolist()), data["y"].dtype) == (set(range(classes)), np.int32)
    else:
        assert (data["y"].shape, data["y"].dtype) == ((len(data["x"]), 1), np.float32)
    assert digits()["x"].max() == 1
