"""Classification losses against torch and Optax, at the edges of their range, and with bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
import torch.nn.functional as F

from jnn.losses import binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, soft_cross_entropy
from tests.losses.exact import assert_exact
from tests.oracle import assert_matches_torch, configurations


def leading(rng):
    return tuple(rng.integers(1, 5, rng.integers(1, 4)))


def normal(rng, *shape):
    return rng.normal(scale=3, size=shape).astype(np.float32)


def uniform(rng, *shape):
    return rng.uniform(0.01, 0.99, size=shape).astype(np.float32)


def torch_classes_last(logits, target, **options):
    """torch's cross-entropy without reduction, of logits (..., classes)."""
    flat = logits.flatten(0, -2)
    out = F.cross_entropy(flat, target.reshape(flat.shape if target.is_floating_point() else (-1,)), **options)
    return out.reshape(logits.shape[:-1])


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 8)), ids=range(20))
def test_binary_cross_entropy_matches_torch(rng):
    shape = leading(rng)
    assert_matches_torch(
        binary_cross_entropy,
        lambda p, y: F.binary_cross_entropy(p, y, reduction="none").mean(-1),
        [uniform(rng, *shape), uniform(rng, *shape)],
    )


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 8, 9)), ids=range(20))
def test_binary_cross_entropy_with_logits_matches_torch_and_optax(rng):
    shape = leading(rng)
    weight = uniform(rng, shape[-1]) if rng.integers(2) else np.ones(1, np.float32)
    arrays, given = [normal(rng, *shape), uniform(rng, *shape)], torch.tensor(weight, dtype=torch.float64)
    entropy = partial(F.binary_cross_entropy_with_logits, reduction="none", pos_weight=given)
    assert_matches_torch(
        lambda x, y: binary_cross_entropy_with_logits(x, y, positive_weight=weight if weight.size > 1 else weight[0]),
        lambda x, y: entropy(x, y).mean(-1),
        arrays,
    )
    theirs = lambda x, y: optax.losses.sigmoid_binary_cross_entropy(x, y).mean(-1)
    both = jax.jit(lambda *a: (binary_cross_entropy_with_logits(*a), theirs(*a)))
    np.testing.assert_allclose(*both(*arrays), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_masked_binary_cross_entropy_matches_torch_on_what_is_known(rng):
    logits, targets, mask = rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)), rng.random((3, 4)) < 0.6
    mask[0] = False

    def theirs(x, y):
        rows = [
            F.binary_cross_entropy_with_logits(a[m], b[m]) if m.any() else 0 * a.sum()
            for a, b, m in zip(x, y, mask, strict=True)
        ]
        return torch.stack(rows)

    assert_exact(lambda x, y: binary_cross_entropy_with_logits(x, y, mask=mask), theirs, logits, targets)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2, 5, 7, 8)), ids=range(20))
def test_cross_entropy_matches_torch_and_optax(rng):
    shape, classes, smoothing = leading(rng), int(rng.integers(1, 8)), float(rng.choice([0.0, 0.1, 0.7]))
    weights = uniform(rng, classes) if rng.integers(2) else None
    logits, labels = normal(rng, *shape, classes), rng.integers(0, classes, shape)
    theirs = {
        "weight": None if weights is None else torch.tensor(weights, dtype=torch.float64),
        "label_smoothing": smoothing,
    }
    assert_matches_torch(
        lambda x, y: cross_entropy(x, y, smoothing=smoothing, class_weights=weights),
        lambda x, y: torch_classes_last(x, y, reduction="none", **theirs),
        [logits, labels],
    )
    plain = optax.losses.softmax_cross_entropy_with_integer_labels
    both = jax.jit(lambda *a: (cross_entropy(*a), plain(*a)))
    np.testing.assert_allclose(*both(logits, labels), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2, 5, 7, 8)), ids=range(20))
def test_soft_cross_entropy_matches_torch_and_optax(rng):
    shape, classes, smoothing = leading(rng), int(rng.integers(1, 8)), float(rng.choice([0.0, 0.1, 0.7]))
    weights = uniform(rng, classes) if rng.integers(2) else None
    logits, targets = normal(rng, *shape, classes), rng.dirichlet(np.ones(classes), shape).astype(np.float32)
    theirs = {
        "weight": None if weights is None else torch.tensor(weights, dtype=torch.float64),
        "label_smoothing": smoothing,
    }
    assert_matches_torch(
        lambda x, y: soft_cross_entropy(x, y, smoothing=smoothing, class_weights=weights),
        lambda x, y: torch_classes_last(x, y, reduction="none", **theirs),
        [logits, targets],
    )
    both = jax.jit(lambda *a: (soft_cross_entropy(*a), optax.losses.softmax_cross_entropy(*a)))
    np.testing.assert_allclose(*both(logits, targets), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2, 3)), ids=range(20))
def test_one_hot_targets_equal_their_labels(rng):
    classes, smoothing = int(rng.integers(1, 8)), float(rng.uniform(0, 0.9))
    weights, logits, labels = uniform(rng, classes), normal(rng, 5, classes), rng.integers(0, classes, 5)
    options = {"smoothing": smoothing, "class_weights": weights}
    hot = lambda x, y: soft_cross_entropy(x, jax.nn.one_hot(y, classes), **options)
    both = jax.jit(lambda *a: (cross_entropy(*a, **options), hot(*a)))
    np.testing.assert_allclose(*both(logits, labels), rtol=1e-5, atol=1e-6)


def test_class_weights_as_example_weights_are_torchs_weighted_mean():
    rng = np.random.default_rng(0)
    logits, labels, weights = normal(rng, 9, 4), rng.integers(0, 4, 9), uniform(rng, 4)
    example = weights[labels]
    ours = jnp.sum(cross_entropy(jnp.asarray(logits), jnp.asarray(labels)) * example) / jnp.sum(example)
    theirs = F.cross_entropy(torch.tensor(logits), torch.tensor(labels), weight=torch.tensor(weights))
    np.testing.assert_allclose(ours, theirs.item(), rtol=1e-5)


def test_probabilities_of_zero_and_one_are_finite():
    p, y = jnp.array([0.0, 1.0, 0.0, 1.0])[:, None], jnp.array([0, 1, 1, 0])[:, None]
    values, gradient = jax.value_and_grad(lambda p: binary_cross_entropy(p, y).sum())(p)
    right, wrong = jnp.split(binary_cross_entropy(p, y), 2)
    assert jnp.isfinite(values)
    assert jnp.isfinite(gradient).all()
    assert (right < 1e-6).all()
    np.testing.assert_allclose(wrong, -np.log(1e-7), rtol=0.02)  # 1 - 1e-7 rounds in float32


def test_logits_of_any_size_are_exact():
    logits = jnp.array([[1e4], [-1e4], [88.0]])
    y = jnp.array([[0], [1], [0]])
    np.testing.assert_allclose(binary_cross_entropy_with_logits(logits, y), [1e4, 1e4, 88.0], rtol=1e-6)
    gradient = jax.grad(lambda x: binary_cross_entropy_with_logits(x, y).sum())(logits)
    np.testing.assert_allclose(gradient[:, 0], [1.0, -1.0, 1.0], rtol=1e-6)
    wide = jnp.array([[1e4, 1e4 + 1.0, 0.0]])
    np.testing.assert_allclose(cross_entropy(wide, jnp.array([0])), np.log1p(np.e), rtol=1e-6)


def test_masked_classes_cost_nothing():
    logits, targets = jnp.array([[0.0, 1.0, -jnp.inf]]), jnp.array([[0.5, 0.5, 0.0]])
    for loss in (lambda x: soft_cross_entropy(x, targets), lambda x: cross_entropy(x, jnp.array([1]))):
        assert jnp.isfinite(loss(logits)).all()
        assert jnp.isfinite(jax.grad(lambda x, loss=loss: loss(x).sum())(logits)).all()
    np.testing.assert_allclose(
        soft_cross_entropy(logits, targets), soft_cross_entropy(logits[:, :2], targets[:, :2]), rtol=1e-6
    )


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.int16, jnp.uint32])
def test_labels_of_any_integer_dtype_and_more_classes_than_it_counts(dtype):
    logits, labels = jnp.asarray(normal(np.random.default_rng(0), 3, 300)), jnp.array([0, 7, 120])
    np.testing.assert_array_equal(cross_entropy(logits, labels.astype(dtype)), cross_entropy(logits, labels))


def test_half_precision_logits_give_float32_values():
    logits = jnp.asarray(normal(np.random.default_rng(0), 3, 4)).astype(jnp.bfloat16)
    wide, labels = logits.astype(jnp.float32), jnp.array([0, 1, 2])
    hot = jax.nn.one_hot(labels, 4)
    for half, full in [
        (cross_entropy(logits, labels), cross_entropy(wide, labels)),
        (soft_cross_entropy(logits, hot), soft_cross_entropy(wide, hot)),
        (binary_cross_entropy_with_logits(logits, hot), binary_cross_entropy_with_logits(wide, hot)),
        (binary_cross_entropy(jax.nn.sigmoid(wide).astype(jnp.bfloat16), hot), None),
    ]:
        assert half.dtype == jnp.float32
        if full is not None:
            np.testing.assert_array_equal(half, full)


def test_no_gather_and_no_second_array_of_logits():
    """So logits may be sharded over classes, and a large vocabulary costs one array of gradients."""
    shapes = jax.ShapeDtypeStruct((64, 4096), jnp.float32), jax.ShapeDtypeStruct((64,), jnp.int32)
    compiled = jax.jit(jax.grad(lambda x, y: cross_entropy(x, y).sum())).lower(*shapes).compile()
    assert "gather(" not in compiled.as_text()
    assert "scatter(" not in compiled.as_text()
    assert compiled.memory_analysis().temp_size_in_bytes < 1.1 * 64 * 4096 * 4


@pytest.mark.parametrize("label", [-1, 4, 100])
def test_a_label_out_of_range_raises_or_gives_nan_for_that_example(label):
    logits, labels = jnp.asarray(normal(np.random.default_rng(0), 2, 4)), jnp.array([1, label])
    with pytest.raises(ValueError, match=r"cross_entropy: expected labels in 0\.\.3 \(4 classes\), found"):
        cross_entropy(logits, labels)
    good, bad = jax.jit(cross_entropy)(logits, labels)
    np.testing.assert_allclose(good, cross_entropy(logits[:1], labels[:1])[0], rtol=1e-6)
    assert jnp.isnan(bad)


def test_values_out_of_the_unit_interval_raise_or_give_nan_for_that_example():
    good, bad, p = jnp.array([[0.0, 1.0]]), jnp.array([[0.0, 1.5]]), jnp.array([[0.4, 0.6]])
    rows = lambda *x: jnp.concatenate(x)
    for loss, (x, y), message in [
        (binary_cross_entropy, (rows(p, bad), rows(good, good)), "probabilities"),
        (binary_cross_entropy, (rows(p, p), rows(good, bad)), "targets"),
        (binary_cross_entropy, (rows(p, p * jnp.nan), rows(good, good)), "probabilities"),
        (binary_cross_entropy_with_logits, (rows(p, p), rows(good, bad)), "targets"),
        (soft_cross_entropy, (rows(p, p), rows(good, -bad)), "targets"),
    ]:
        with pytest.raises(ValueError, match=rf"{loss.__name__}: expected {message} in \[0, 1\], found values from"):
            loss(x, y)
        assert jnp.isnan(jax.jit(loss)(x, y)).tolist() == [False, True]


ONE = jnp.ones((4, 3))
LABELS = jnp.zeros(4, jnp.int32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: cross_entropy(ONE, ONE), TypeError, r"expected integer labels \(4,\), found float32\[4,3\]"),
        (
            lambda: cross_entropy(ONE, LABELS[:, None]),
            ValueError,
            r"expected labels \(4,\) .* found int32\[4,1\]\. Drop its last axis",
        ),
        (lambda: cross_entropy(LABELS[:, None], LABELS), TypeError, "expected floating-point input, found int32"),
        (lambda: cross_entropy(ONE[:0], LABELS[:0]), ValueError, "at least one example"),
        (lambda: cross_entropy(ONE, LABELS, smoothing=1.0), ValueError, r"expected smoothing in \[0, 1\), found 1.0"),
        (
            lambda: cross_entropy(ONE, LABELS, class_weights=jnp.ones(4)),
            ValueError,
            r"one class weight for each of 3 classes, found shape \(4,\)",
        ),
        (lambda: soft_cross_entropy(ONE, LABELS), ValueError, r"equal shapes, found .* targets int32\[4\]"),
        (lambda: soft_cross_entropy(ONE, ONE, smoothing=-0.1), ValueError, "soft_cross_entropy: expected smoothing"),
        (lambda: binary_cross_entropy(ONE, ONE[:, 0]), ValueError, "binary_cross_entropy: expected equal shapes"),
        (lambda: binary_cross_entropy(LABELS, LABELS), TypeError, r"expected floating-point input, found int32\[4\]"),
        (lambda: binary_cross_entropy_with_logits(ONE[:0], ONE[:0]), ValueError, "with_logits: expected at least one"),
        (lambda: binary_cross_entropy_with_logits(ONE, ONE - 2), ValueError, r"expected targets in \[0, 1\]"),
        (lambda: binary_cross_entropy_with_logits(ONE, ONE, mask=ONE[0]), ValueError, r"expected a mask \(4, 3\)"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
