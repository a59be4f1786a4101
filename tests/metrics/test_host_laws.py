"""Laws of what is computed on the host: metrics that are sums, of texts and others, and those of whole arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import metrics as M
from tests.metrics.examples import repeated
from tests.metrics.table import ON_HOST, TEXTS, WHOLE
from tests.metrics.test_laws import padded

BOX, ONE = np.array([[[0.0, 0.0, 2.0, 2.0]]]), np.ones((1, 1), int)
# no sums either, each with tests of its own
OTHERS = {
    "RocCurve": lambda: M.roc_curve(jnp.array([0.1, 0.9]), jnp.array([0, 1])),
    "mean_average_precision": lambda: M.mean_average_precision(BOX, ONE + 0.9, ONE, BOX, ONE, num_classes=2),
    "frechet_distance": lambda: M.frechet_distance(*[M.feature_moments(jnp.eye(3))] * 2),
    "kernel_distance": lambda: M.kernel_distance(jnp.eye(3), jnp.eye(3)),
    "diebold_mariano": lambda: M.diebold_mariano(np.array([1.0, 2.0]), np.array([2.0, 2.0])),
}
SUMS = {**TEXTS, **ON_HOST}
sums = pytest.mark.parametrize("name", SUMS)
texts = pytest.mark.parametrize("name", TEXTS)
whole = pytest.mark.parametrize("name", WHOLE)


def assert_same(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12), a, b)


def example_of(name):
    metric, example = SUMS[name]
    return metric, *example(np.random.default_rng(0))


def with_rubbish(arrays):
    """With rows of weight 0 behind the others."""
    *arrays, weight = arrays
    if arrays[0].dtype.kind == "f":
        return padded((*arrays, weight))
    return *(np.append(x, [None, "a"]) for x in arrays), np.append(weight, [0, 0])


@sums
def test_any_split_adds_up_to_the_whole(name):
    metric, *arrays = example_of(name)
    for cuts in ([5], [1, 6, 7]):
        parts = zip(*(np.split(x, cuts) for x in arrays), strict=True)
        assert_same(M.merge(*(metric(*part) for part in parts)), metric(*arrays))


@sums
def test_rows_of_sums_of_weight_zero_are_not_there_and_weights_are_numbers_of_rows(name):
    metric, *arrays = example_of(name)
    *rows, weight = arrays
    assert_same(metric(*with_rubbish(arrays)), metric(*arrays))
    assert_same(metric(*repeated(arrays)), metric(*arrays))
    assert_same(metric(*rows), metric(*rows, np.ones(len(weight))))
    assert np.isnan(metric(*rows, 0 * weight).value())


@texts
def test_no_texts_are_nan_and_those_of_several_steps_have_a_value_each(name):
    metric, *arrays = example_of(name)
    assert np.isnan(metric([], []).value())
    steps = [metric(*(x[i::2] for x in arrays)) for i in range(2)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *steps)
    np.testing.assert_allclose(stacked.value(), [step.value() for step in steps], rtol=1e-12)


@pytest.mark.parametrize("name", ON_HOST)
def test_nan_that_counts_makes_the_sum_nan(name):
    metric, x, *others, weight = example_of(name)
    x[0], weight[0] = np.nan, 1
    assert np.isnan(metric(x, *others, weight).value())


@whole
def test_concatenated_batches_have_the_number_of_the_whole(name):
    metric, example = WHOLE[name]
    arrays = example(np.random.default_rng(0))
    expected = metric(*map(jnp.asarray, arrays))
    *columns, weight = (np.split(x, [16, 40]) for x in arrays)
    rows = [M.merge(*map(M.concatenation, column, weight)).value() for column in columns]
    kept = M.merge(*map(M.concatenation, weight, weight)).value()
    np.testing.assert_allclose(metric(*map(jnp.asarray, (*rows, kept))), expected, rtol=1e-12)


@whole
def test_rows_of_weight_zero_are_not_there_and_weights_are_numbers_of_rows(name):
    metric, example = WHOLE[name]
    arrays = example(np.random.default_rng(0))
    expected = metric(*map(jnp.asarray, arrays))
    np.testing.assert_allclose(metric(*map(jnp.asarray, padded(arrays))), expected, rtol=1e-12)
    np.testing.assert_allclose(metric(*map(jnp.asarray, repeated(arrays))), expected, rtol=1e-12)
    assert np.isnan(metric(*map(jnp.asarray, (*arrays[:-1], np.zeros_like(arrays[-1])))))


@whole
def test_nan_that_counts_makes_the_number_nan(name):
    metric, example = WHOLE[name]
    x, y, weight = example(np.random.default_rng(0))
    x[0], weight[0] = np.nan, 1
    assert np.isnan(metric(*map(jnp.asarray, (x, y, weight))))


def of_whole_arrays(name):
    if name in OTHERS:
        return OTHERS[name]()
    metric, example = WHOLE[name]
    return metric(*map(jnp.asarray, example(np.random.default_rng(0))))


@pytest.mark.parametrize("name", [*WHOLE, *OTHERS])
def test_what_whole_arrays_say_is_not_merged(name):
    number = of_whole_arrays(name)
    for combined in (
        lambda: M.merge(number),
        lambda: M.merge(number, number),
        lambda: M.merge({name: number}, {name: number}),
        lambda: M.fold(jax.tree.map(lambda x: np.stack([x, x]), number)),
        lambda: M.check_metrics("step", {name: number}),
    ):
        with pytest.raises(TypeError, match=r"does not say how it combines.* gather the rows of all batches by jnn"):
            combined()
