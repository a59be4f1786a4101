"""Metrics against scikit-learn, split and sharded and padded, and with bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn import metrics as M
from jnn.losses import cross_entropy
from tests.oracle import configurations

twenty = pytest.mark.parametrize("rng", configurations(), ids=range(20))


def classified(rng, n=64, classes=5):
    """Logits, labels (not every class occurs), and integer weights with zeros among them."""
    logits = rng.normal(size=(n, classes)).astype(np.float32)
    return logits, rng.integers(0, rng.integers(2, classes + 1), n), rng.integers(0, 4, n)


def scored(rng, n=64):
    """Scores with ties, labels 0 and 1, weights."""
    return (rng.integers(0, 11, n) / 10).astype(np.float32), rng.integers(0, 2, n), rng.integers(0, 4, n)


def regressed(rng, n=64, outputs=3):
    targets = rng.normal(3, 2, (n, outputs)).astype(np.float32)
    return targets + rng.normal(size=targets.shape).astype(np.float32), targets, rng.integers(0, 4, n)


def host(metric, *arrays):
    """Eager, then merged: the number that a report prints."""
    return M.merge(metric(*map(jnp.asarray, arrays))).value()


@twenty
def test_accuracies_are_scikit_learns(rng):
    logits, labels, weight = classified(rng)
    k = int(rng.integers(1, 6))
    theirs = sk.accuracy_score(labels, logits.argmax(-1), sample_weight=weight)
    np.testing.assert_allclose(host(M.accuracy, logits, labels, weight), theirs, rtol=1e-12)
    top = lambda x, y, w: M.top_k_accuracy(x, y, k, w)
    theirs = 1.0 if k == 5 else sk.top_k_accuracy_score(labels, logits, k=k, sample_weight=weight, labels=np.arange(5))
    np.testing.assert_allclose(host(top, logits, labels, weight), theirs, rtol=1e-12)
    scores, yes, weight = scored(rng)
    theirs = sk.accuracy_score(yes, scores > 0.5, sample_weight=weight)
    np.testing.assert_allclose(host(M.binary_accuracy, scores, yes, weight), theirs, rtol=1e-12)


@twenty
def test_the_confusion_matrix_and_what_follows_are_scikit_learns(rng):
    logits, labels, weight = classified(rng)
    # scikit-learn counts a class as there even if its every example has weight 0; as many each time: one shape
    kept = np.flatnonzero(weight)[:32]
    predicted, labels, weight = logits.argmax(-1)[kept], labels[kept], weight[kept]
    metric = M.merge(M.confusion_matrix(jnp.asarray(logits[kept]), jnp.asarray(labels), jnp.asarray(weight)))
    theirs = sk.confusion_matrix(labels, predicted, labels=np.arange(5), sample_weight=weight)
    np.testing.assert_array_equal(metric.value(), theirs)
    np.testing.assert_allclose(metric.accuracy(), sk.accuracy_score(labels, predicted, sample_weight=weight))
    counts = metric.counts()
    without = M.class_counts(jnp.asarray(logits[kept]), jnp.asarray(labels), jnp.asarray(weight))
    assert_same("class_counts", without, counts)
    options = {"sample_weight": weight, "zero_division": 0}
    for ours, score in [
        (counts.precision(), sk.precision_score),
        (counts.recall(), sk.recall_score),
        (counts.f1(), sk.f1_score),
        (counts.iou(), sk.jaccard_score),
    ]:
        each = score(labels, predicted, labels=np.arange(5), average=None, **options)
        np.testing.assert_allclose(ours, each, rtol=1e-12)
        np.testing.assert_allclose(counts.macro(ours), score(labels, predicted, average="macro", **options), rtol=1e-12)
        theirs = score(labels, predicted, average="weighted", **options)
        np.testing.assert_allclose(counts.weighted(ours), theirs, rtol=1e-12)
    micro = sk.f1_score(labels, predicted, average="micro", sample_weight=weight)
    np.testing.assert_allclose(counts.micro().f1(), [micro], rtol=1e-12)
    np.testing.assert_allclose(counts.value(), sk.f1_score(labels, predicted, average="macro", **options))


@twenty
def test_binary_counts_are_scikit_learns(rng):
    scores, labels, weight = (
        rng.uniform(size=(40, 3)).astype(np.float32),
        rng.integers(0, 2, (40, 3)),
        rng.integers(1, 4, 40),
    )
    counts = M.merge(M.binary_counts(jnp.asarray(scores), jnp.asarray(labels), jnp.asarray(weight), threshold=0.7))
    options = {"sample_weight": weight, "zero_division": 0}
    for name, ours in [("precision", counts.precision()), ("recall", counts.recall()), ("f1", counts.f1())]:
        score = getattr(sk, f"{name}_score")
        np.testing.assert_allclose(ours, score(labels, scores > 0.7, average=None, **options), rtol=1e-12)
        micro = getattr(counts.micro(), name)()
        np.testing.assert_allclose(micro, [score(labels, scores > 0.7, average="micro", **options)], rtol=1e-12)


@twenty
def test_roc_auc_is_scikit_learns_and_the_histogram_is_within_its_bound(rng):
    scores, labels, weight = scored(rng, 200)
    theirs = sk.roc_auc_score(labels, scores, sample_weight=weight)
    arrays = tuple(map(jnp.asarray, (scores, labels, weight)))
    np.testing.assert_allclose(M.roc_auc(*arrays), theirs, rtol=1e-12)
    fine = M.merge(M.roc_auc_histogram(*arrays))  # scores are tenths: with 1024 bins only equal ones share a bin
    np.testing.assert_allclose(fine.value(), theirs, rtol=1e-12)
    smooth = rng.uniform(size=200).astype(np.float32)
    exact = sk.roc_auc_score(labels, smooth, sample_weight=weight)
    for bins in (1, 4, 32):
        coarse = M.merge(M.roc_auc_histogram(jnp.asarray(smooth), *arrays[1:], bins=bins))
        assert abs(coarse.value() - exact) <= coarse.error_bound() + 1e-12
        assert coarse.error_bound() <= 0.5
    np.testing.assert_allclose(M.roc_auc_histogram(arrays[0], *arrays[1:], bins=1).value(), 0.5)


@twenty
def test_regression_metrics_are_scikit_learns(rng):
    predictions, targets, weight = regressed(rng)
    options = {"sample_weight": weight}
    mae = sk.mean_absolute_error(targets, predictions, **options)
    mse = sk.mean_squared_error(targets, predictions, **options)
    np.testing.assert_allclose(host(M.mean_absolute_error, predictions, targets, weight), mae, rtol=1e-5)
    np.testing.assert_allclose(host(M.mean_squared_error, predictions, targets, weight), mse, rtol=1e-5)
    np.testing.assert_allclose(host(M.root_mean_squared_error, predictions, targets, weight), mse**0.5, rtol=1e-5)
    r2 = sk.r2_score(targets, predictions, **options)
    np.testing.assert_allclose(host(M.r_squared, predictions, targets, weight), r2, rtol=1e-4)
    one = predictions[:, 0], targets[:, 0], weight
    mae = sk.mean_absolute_error(one[1], one[0], **options)
    np.testing.assert_allclose(host(M.mean_absolute_error, *one), mae, rtol=1e-5)


def test_r_squared_far_from_zero_needs_its_shift():
    predictions, targets, _ = (x + 10_000 for x in regressed(np.random.default_rng(0), 4096))
    shifted = lambda p, y: M.r_squared(p, y, shift=10_000.0)
    np.testing.assert_allclose(host(shifted, predictions, targets), sk.r2_score(targets, predictions), rtol=1e-4)
    per_output = lambda p, y: M.r_squared(p, y, shift=targets.mean(0))
    np.testing.assert_allclose(host(per_output, predictions, targets), sk.r2_score(targets, predictions), rtol=1e-4)


@twenty
def test_perplexity_of_a_model_is_exp_of_its_log_loss(rng):
    logits, labels, weight = classified(rng)
    theirs = np.exp(sk.log_loss(labels, jax.nn.softmax(logits), sample_weight=weight, labels=np.arange(5)))
    metric = M.perplexity(cross_entropy(jnp.asarray(logits), jnp.asarray(labels)), jnp.asarray(weight))
    np.testing.assert_allclose(metric.value(), theirs, rtol=1e-5)
    np.testing.assert_allclose(M.merge(metric).value(), theirs, rtol=1e-5)


EVERY = {
    "accuracy": (M.accuracy, classified),
    "top_k_accuracy": (lambda x, y, w=None: M.top_k_accuracy(x, y, 3, w), classified),
    "confusion_matrix": (M.confusion_matrix, classified),
    "class_counts": (M.class_counts, classified),
    "binary_accuracy": (M.binary_accuracy, scored),
    "binary_counts": (lambda x, y, w=None: M.binary_counts(x[:, None], y[:, None], w), scored),
    "roc_auc_histogram": (M.roc_auc_histogram, scored),
    "mean": (lambda x, y, w=None: M.mean(x, w), scored),
    "perplexity": (lambda x, y, w=None: M.perplexity(x, w), scored),
    "mean_absolute_error": (M.mean_absolute_error, regressed),
    "mean_squared_error": (M.mean_squared_error, regressed),
    "root_mean_squared_error": (M.root_mean_squared_error, regressed),
    "r_squared": (M.r_squared, regressed),
}
COUNTS = {
    "accuracy",
    "top_k_accuracy",
    "confusion_matrix",
    "class_counts",
    "binary_accuracy",
    "binary_counts",
    "roc_auc_histogram",
}
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


COMBINING = {"adds_up", "by_kind", "check_metrics", "fold", "of_nothing", "to_add"}


def test_no_metric_is_missing_from_the_table():
    functions = {name for name in M.__all__ if name[0].islower()}
    assert functions - {"merge", "roc_auc", "concatenation", *COMBINING} == set(EVERY)


@every
def test_any_split_adds_up_to_the_whole(name):
    metric, *arrays = example_of(name)
    whole = metric(*arrays)
    for cuts in ([32], [16, 32], [32, 48], [16, 32, 48]):
        parts = zip(*(np.split(x, cuts) for x in arrays), strict=True)
        assert_same(name, M.merge(*(metric(*part) for part in parts)), whole)


@every
def test_eight_devices_give_the_sums_of_one_and_jit_those_of_eager(name):
    metric, *arrays = example_of(name)
    eager = EVERY[name][0](*map(jnp.asarray, arrays))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.device_put(arrays, NamedSharding(mesh, PartitionSpec("data")))
    assert_same(name, metric(*sharded), eager)
    assert_same(name, metric(*arrays), eager)


@every
def test_padding_changes_nothing_whatever_it_holds(name):
    metric, *arrays = example_of(name)
    x, y, w = (a[:-3] for a in arrays)
    whole = metric(x, y, w)
    y_pad = np.full((3, *y.shape[1:]), -100) if y.dtype.kind == "i" else np.full((3, *y.shape[1:]), np.nan, y.dtype)
    padded = (
        np.concatenate([x, np.full((3, *x.shape[1:]), np.nan, x.dtype)]),
        np.concatenate([y, y_pad]),
        np.append(w, [0] * 3),
    )
    for run in (EVERY[name][0], metric):
        assert_same(name, run(*map(jnp.asarray, padded)), whole)


@every
def test_no_weight_is_a_weight_of_one_and_a_row_of_weight_two_is_two_rows(name):
    metric, x, y, _ = example_of(name)
    assert_same(name, metric(x, y), metric(x, y, np.ones(64, int)))
    assert_same(name, metric(x, y, np.full(64, 2)), metric(np.concatenate([x, x]), np.concatenate([y, y])))


@every
def test_values_of_several_steps_are_one_each(name):
    metric, example = example_of(name)[0], EVERY[name][1]
    steps = [example(np.random.default_rng(i)) for i in range(3)]
    stacked = jax.jit(jax.vmap(metric))(*map(np.stack, zip(*steps, strict=True)))
    expected = np.stack([metric(*arrays).value() for arrays in steps])
    for m in (stacked, jax.tree.map(np.asarray, stacked)):
        np.testing.assert_allclose(m.value(), expected, rtol=1e-5)


@every
def test_nothing_counted_is_nan_without_a_warning(name):
    metric, x, y, _ = example_of(name)
    nothing = metric(x, y, np.zeros(64, int))
    for m in (nothing, M.merge(nothing)):
        assert np.isnan((m.counts() if name == "confusion_matrix" else m).value())


@every
def test_nan_that_counts_makes_the_metric_nan(name):
    metric, x, y, w = example_of(name)
    x[0], w[0] = np.nan, 1
    out = metric(x, y, w)
    assert np.isnan(np.asarray(out.counts().value() if name == "confusion_matrix" else out.value())).all()


@pytest.mark.parametrize(
    "name", ["accuracy", "top_k_accuracy", "confusion_matrix", "class_counts", "binary_accuracy", "binary_counts"]
)
def test_a_label_out_of_range_raises_and_under_jit_gives_nan(name):
    metric, x, y, _ = example_of(name)
    for label in (-1, 5):
        y[3] = label
        with pytest.raises(ValueError, match=r"expected labels (in 0\.\.4|0 and 1).*, found"):
            EVERY[name][0](jnp.asarray(x), jnp.asarray(y))
        assert all(np.isnan(leaf).any() for leaf in jax.tree.leaves(metric(x, y)))


def test_equal_logits_count_the_first_as_greater():
    logits = jnp.array([[1.0, 1.0, 0.0]])
    assert [M.top_k_accuracy(logits, jnp.array([y]), 1).value().item() for y in range(3)] == [1, 0, 0]
    assert [M.top_k_accuracy(logits, jnp.array([y]), 2).value().item() for y in range(3)] == [1, 1, 0]


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8])
def test_labels_of_a_small_integer_dtype(dtype):
    logits, labels = jnp.asarray(np.random.default_rng(0).normal(size=(50, 300)).astype(np.float32)), jnp.arange(50)
    for metric in (M.accuracy, M.confusion_matrix):
        assert_same("accuracy", metric(logits, labels.astype(dtype)), metric(logits, labels))


def test_merge_counts_past_what_float32_can():
    big = M.Mean(np.float32(2**24), np.float32(2**24))
    one = M.Mean(np.float32(1), np.float32(1))
    assert M.merge(big, one, one) == M.Mean(2.0**24 + 2, 2.0**24 + 2)


def many(rng, n=200_000):
    """Rows of two classes, the last of them one: with weights, more than float32 can count."""
    labels = np.r_[np.zeros(n - 1, np.int32), 1]
    return rng.uniform(size=n).astype(np.float32) * 1e-3 + labels, labels


@pytest.mark.parametrize("weight", [251.0, 0.1])
def test_counts_go_on_beyond_what_float32_counts_one_by_one(weight):
    """200,000 rows stand for 50 million of weight 1; and small weights are not lost in large sums."""
    scores, labels = many(np.random.default_rng(0))
    weights = np.full(len(labels), weight, np.float32)
    total = np.float32(np.float64(np.float32(weight)) * (len(labels) - 1))
    logits = np.stack([0.5 - scores, scores - 0.5], -1)
    tolerance = {"rtol": 0} if weight > 1 else {"rtol": 1e-5}
    each = [
        jax.jit(M.confusion_matrix)(logits, labels, weights).matrix[0, 0],
        jax.jit(M.class_counts)(logits, labels, weights).hits[0],
        jax.jit(M.binary_counts)(-scores[:, None], 1 - labels[:, None], weights).actual[0],
        jax.jit(lambda *args: M.roc_auc_histogram(*args, bins=8))(scores, labels, weights).negative[0],
        jax.jit(M.accuracy)(logits, labels, weights).total - np.float32(weight),
    ]
    np.testing.assert_allclose(each, total, **tolerance)


def test_fifty_thousand_classes_need_no_matrix():
    logits = jnp.zeros((3, 50_000)).at[jnp.arange(3), jnp.array([7, 7, 49_999])].set(1.0)
    counts = M.class_counts(logits, jnp.array([7, 1, 49_999]))
    assert (counts.predicted[7], counts.precision()[7], counts.recall()[49_999]) == (2, 0.5, 1)
    with pytest.raises(ValueError, match=r"50000 classes make a matrix of 10\.0 GB.* take class_counts"):
        M.confusion_matrix(logits, jnp.array([7, 1, 49_999]))


X, Y = jnp.ones((4, 3)), jnp.zeros(4, jnp.int32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: M.accuracy(X, Y[:2]),
            ValueError,
            r"expected labels \(4,\) for logits float32\[4,3\], found int32\[2\]",
        ),
        (lambda: M.accuracy(X, X[:, 0]), TypeError, "expected integers, found float32"),
        (lambda: M.accuracy(Y[:, None], Y), TypeError, "expected floating-point input, found int32"),
        (lambda: M.accuracy(X[:0], Y[:0]), ValueError, "at least one example"),
        (lambda: M.top_k_accuracy(X, Y, 4), ValueError, r"top_k_accuracy: expected k in 1\.\.3, found 4"),
        (
            lambda: M.accuracy(X, Y, jnp.ones(3)),
            ValueError,
            r"weights of the leading axes of int32\[4\], found float32\[3\]",
        ),
        (lambda: M.confusion_matrix(X, X), TypeError, "confusion_matrix: expected integers"),
        (lambda: M.binary_accuracy(X, Y), ValueError, "binary_accuracy: expected equal shapes"),
        (lambda: M.binary_counts(X[0, 0], Y[0]), ValueError, "binary_counts: expected an array of rank 1 or more"),
        (lambda: M.roc_auc(X, X * 0.5), ValueError, "roc_auc: expected labels 0 and 1, found values from 0.5 to 0.5"),
        (lambda: M.roc_auc_histogram(X, X, bins=0), ValueError, "expected at least one bin, found 0"),
        (lambda: M.mean_absolute_error(X, Y), ValueError, "mean_absolute_error: expected equal shapes"),
        (lambda: M.r_squared(X[:, 0], X[:, 0]), ValueError, "r_squared: expected an array of rank 2 or more"),
        (lambda: M.mean(X[:0]), ValueError, "mean: expected at least one example"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
