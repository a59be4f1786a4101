"""Laws of all metrics: split, sharded, padded, mapped, of nothing and of NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn import metrics as M
from tests.metrics.table import COUNTS, EVERY, LABELS, ON_HOST, PROBABILITIES, TEXTS, WHOLE

every = pytest.mark.parametrize("name", EVERY)


def example_of(name):
    """The metric of this name, jitted, and arrays for it, of one shape in all tests: one program."""
    metric, example = EVERY[name]
    return jax.jit(metric), *example(np.random.default_rng(0))


def assert_same(name, a, b):
    """Equal sums: exactly for counts, to rounding otherwise."""
    tolerance = {"rtol": 0} if name in COUNTS else {"rtol": 1e-5, "atol": 1e-5}
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **tolerance)


COMBINING = {"adds_up", "by_kind", "check_metrics", "concatenation", "fold", "merge", "of_nothing", "to_add"}
OF_TWO = {"frechet_distance", "kernel_distance"}  # sets of rows, with tests of their own
OF_IMAGES = {"mean_average_precision"}
OF_SERIES = {"diebold_mariano", "pesaran_timmermann"}  # whose steps are in order, none of them left out
AIDS = {"edit_distance", "exponential_gain", "naive_error", "tokenize_13a"}


def test_no_metric_is_missing_from_the_table():
    functions = {name for name in M.__all__ if name[0].islower()}
    assert functions - COMBINING - OF_TWO - OF_IMAGES - OF_SERIES - AIDS == {*EVERY, *TEXTS, *ON_HOST, *WHOLE}


def quarters(metric, arrays):
    """The metric of each quarter of the rows: one program, of which all that is smaller than the whole is made."""
    return [metric(*part) for part in zip(*(np.split(x, 4) for x in arrays), strict=True)]


@every
def test_any_split_adds_up_to_the_whole(name):
    metric, *arrays = example_of(name)
    whole = metric(*arrays)
    a, b, c, d = quarters(metric, arrays)
    for parts in ((a, b, c, d), (M.merge(a, b), M.merge(c, d)), (M.merge(a, b, c), d), (a, M.merge(b, c, d))):
        assert_same(name, M.merge(*parts), whole)


@every
def test_eight_devices_give_the_sums_of_one_and_jit_those_of_eager(name):
    metric, *arrays = example_of(name)
    eager = EVERY[name][0](*map(jnp.asarray, arrays))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.device_put(arrays, NamedSharding(mesh, PartitionSpec("data")))
    assert_same(name, metric(*sharded), eager)
    assert_same(name, metric(*arrays), eager)


@pytest.mark.parametrize("name", sorted(EVERY.keys() - COUNTS))
def test_sums_are_in_float32_at_least_and_float64_stays(name):
    *arrays, weight = EVERY[name][1](np.random.default_rng(0))
    if arrays[0].dtype.kind == "i":
        return
    for given, expected in ((jnp.bfloat16, np.float32), (np.float64, np.float64)):
        with jax.enable_x64(True):
            cast = [x.astype(given) if x.dtype.kind == "f" else x for x in arrays]
            value = jax.eval_shape(lambda *a: EVERY[name][0](*a).value(), *cast, weight)
            assert value.dtype == expected


def rubbish(x):
    """As many rows that no metric may look at."""
    return np.full(x.shape, np.nan if x.dtype.kind == "f" else -100, x.dtype)


def padded(arrays):
    """With rows of weight 0 behind the others."""
    *arrays, weight = arrays
    return *(np.concatenate([x, rubbish(x)]) for x in arrays), np.append(weight, 0 * weight)


def number(metric):
    """Its value: of a matrix one that follows."""
    return (metric.counts() if isinstance(metric, M.Confusion) else metric).value()


@every
def test_padding_changes_nothing_whatever_it_holds(name):
    metric, *arrays = example_of(name)
    whole = M.merge(*quarters(metric, arrays)[:2])
    arrays = [x[:32] for x in arrays]
    for run in (EVERY[name][0], metric):
        assert_same(name, run(*map(jnp.asarray, padded(arrays))), whole)


@every
def test_no_weight_is_a_weight_of_one_and_a_row_of_weight_two_is_two_rows(name):
    metric, *arrays, _ = example_of(name)
    assert_same(name, metric(*arrays), metric(*arrays, np.ones(64, int)))
    assert_same(name, metric(*arrays, np.full(64, 2)), M.merge(metric(*arrays), metric(*arrays)))


@every
def test_values_of_several_steps_are_one_each(name):
    metric, example = example_of(name)[0], EVERY[name][1]
    steps = [example(np.random.default_rng(i)) for i in range(3)]
    run = lambda *arrays: (stacked := jax.vmap(metric)(*arrays), stacked.value())
    stacked, values = jax.jit(run)(*map(np.stack, zip(*steps, strict=True)))
    expected = np.stack([jax.tree.map(np.asarray, metric(*arrays)).value() for arrays in steps])
    np.testing.assert_allclose(jax.tree.map(np.asarray, stacked).value(), expected, rtol=1e-5)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@every
def test_nothing_counted_is_nan_without_a_warning(name):
    metric, *arrays, _ = example_of(name)
    nothing = metric(*arrays, np.zeros(64, int))
    for m in (nothing, M.merge(nothing)):
        assert np.isnan(number(m))


@every
def test_nan_that_counts_makes_the_metric_nan(name):
    metric, x, *others = example_of(name)
    x[0], others[-1][0] = (np.nan if x.dtype.kind == "f" else -100), 1
    assert np.isnan(np.asarray(number(metric(x, *others)))).all()


@pytest.mark.parametrize("name", sorted(LABELS))
def test_a_label_out_of_range_raises_and_under_jit_gives_nan(name):
    metric, x, y, *others, _ = example_of(name)
    for label in (-1, 5):
        y[3] = label
        with pytest.raises(ValueError, match=r"expected labels (in 0\.\.4|0 and 1).*, found"):
            EVERY[name][0](*map(jnp.asarray, (x, y, *others)))
        unknown = [np.isnan(leaf).any() for leaf in jax.tree.leaves(metric(x, y, *others))]
        # of two histograms, that of the examples which the label is taken for
        assert any(unknown) if name == "average_precision_histogram" else all(unknown)


@pytest.mark.parametrize("name", sorted(PROBABILITIES))
@pytest.mark.parametrize("beyond", [-0.1, 1.1, np.inf])
def test_a_logit_for_a_probability_raises_and_under_jit_gives_nan(name, beyond):
    metric, x, *others = example_of(name)
    x[3], others[-1][3] = beyond, 1
    with pytest.raises(ValueError, match=rf"{name}: expected probabilities in \[0, 1\], found.* jax\.nn\.(sig|soft)m"):
        EVERY[name][0](*map(jnp.asarray, (x, *others)))
    assert np.isnan(metric(x, *others).value())
    others[-1][3] = 0
    assert_same(name, metric(x, *others), EVERY[name][0](*map(jnp.asarray, (x, *others))))
    assert np.isfinite(metric(x, *others).value())
