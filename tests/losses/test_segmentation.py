"""Segmentation losses against counts over pixels and the definition of the Lovasz extension, and with bad input."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from jnn import losses
from tests.losses.exact import assert_exact, in_float64
from tests.oracle import configurations

OVERLAPS = (losses.dice_loss, losses.jaccard_loss, losses.tversky_loss, losses.focal_tversky_loss)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_overlaps_match_their_definitions(rng):
    spatial, lead = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    shape, smooth, a, b, gamma = (lead, *rng.integers(1, 4, spatial), 3), *rng.uniform(0.1, 1.5, 4)
    p, t, mask = rng.uniform(size=shape), rng.uniform(0, 3, size=shape) / 3, rng.random(shape[:-1]) < 0.8
    mask[(slice(None), *[0] * spatial)] = True  # the definition of generalized Dice is 0 / 0 without any

    def ours(p, t):
        how = {"mask": mask, "spatial": spatial}
        weights = {"false_positives": a, "false_negatives": b}
        each = [
            losses.dice_loss(p, t, smooth=smooth, **how),
            losses.jaccard_loss(p, t, smooth=smooth, **how),
            losses.tversky_loss(p, t, smooth=smooth, **weights, **how),
            losses.focal_tversky_loss(p, t, gamma=gamma, smooth=smooth, **weights, **how),
            losses.generalized_dice_loss(p, t, **how),
        ]
        return jnp.stack(each)

    def theirs(p, t):
        p, t = (x.reshape(lead, -1, 3) * torch.tensor(mask).reshape(lead, -1, 1) for x in (p, t))
        tp, fp, fn = ((x * y).sum(1) for x, y in ((p, t), (p, 1 - t), (1 - p, t)))
        tversky = 1 - (tp + smooth) / (tp + a * fp + b * fn + smooth)
        w = 1 / t.sum(1).clamp(min=1) ** 2
        each = [
            (1 - (2 * tp + smooth) / (2 * tp + fp + fn + smooth)).mean(-1),
            (1 - (tp + smooth) / (tp + fp + fn + smooth)).mean(-1),
            tversky.mean(-1),
            (tversky**gamma).mean(-1),
            1 - 2 * (w * tp).sum(-1) / (w * (p + t).sum(1)).sum(-1),
        ]
        return torch.stack(each)

    assert_exact(ours, theirs, p, t)


def test_tversky_loss_matches_optax():
    rng = np.random.default_rng(0)
    logits, t = (
        jnp.asarray(rng.normal(size=(2, 4, 5, 3)), jnp.float32),
        jax.nn.one_hot(rng.integers(0, 3, (2, 4, 5)), 3),
    )
    ours = jax.jit(lambda x, t: losses.tversky_loss(jax.nn.softmax(x), t, false_positives=0.2, false_negatives=0.9))(
        logits, t
    )
    np.testing.assert_allclose(ours, optax.losses.dice_loss(logits, t, alpha=0.2, beta=0.9, smooth=1.0), rtol=1e-5)


def jaccard_of(wrong, region):
    """The Jaccard loss where the pixels of a set are wrong, of the region that is true: the paper's equation 3."""
    wrong, region = set(wrong), set(region)
    return len(wrong) / max(len(region | wrong), 1)


def lovasz_extension(errors, region):
    """Of the set function above: definition 1 of the paper."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i].item())
    steps = [jaccard_of(order[: i + 1], region) - jaccard_of(order[:i], region) for i in range(len(order))]
    return sum(errors[i] * step for i, step in zip(order, steps, strict=True))


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_lovasz_losses_match_the_definition_without_what_is_masked(rng):
    images, n, classes = 3, int(rng.integers(2, 7)), int(rng.integers(2, 4))
    logits, targets = rng.normal(size=(images, n)), rng.integers(0, 2, (images, n))
    of_classes, labels = rng.normal(size=(images, n, classes)), rng.integers(0, classes, (images, n))
    mask = rng.random((images, n)) < 0.8
    mask[:, 0] = True

    def ours(x, z):
        hinge = losses.lovasz_hinge(x, targets, mask=mask, spatial=1)
        return jnp.stack([hinge, losses.lovasz_softmax(z, labels, mask=mask, spatial=1)])

    def theirs(x, z):
        hinges, softmaxes = [], []
        for i, real in enumerate(torch.tensor(mask)):
            t, y = torch.tensor(targets)[i][real], torch.tensor(labels)[i][real]
            region = lambda yes: [k for k, there in enumerate(yes) if there]
            hinges.append(lovasz_extension((1 - x[i][real] * (2 * t - 1)).relu(), region(t == 1)))
            p = z[i][real].softmax(-1)
            each = [lovasz_extension(((y == c).double() - p[:, c]).abs(), region(y == c)) for c in y.unique()]
            softmaxes.append(torch.stack(each).mean())
        return torch.stack([torch.stack(hinges), torch.stack(softmaxes)])

    assert_exact(ours, theirs, logits, of_classes)


def test_the_lovasz_hinge_is_the_greatest_over_all_orders():
    """The Jaccard loss is submodular, so that its convex extension is a maximum over orders, whatever the errors."""
    logits, targets = np.array([0.5, -1.0, 2.0, 0.1, -0.3]), np.array([1, 1, 0, 0, 1])
    errors, region = np.maximum(1 - logits * (2 * targets - 1), 0), np.flatnonzero(targets)
    value = lambda o: sum(
        errors[k] * (jaccard_of(o[: i + 1], region) - jaccard_of(o[:i], region)) for i, k in enumerate(o)
    )
    found = in_float64(lambda x: losses.lovasz_hinge(x, targets, spatial=1), logits)
    np.testing.assert_allclose(found, max(value(order) for order in itertools.permutations(range(5))), rtol=1e-12)


def test_images_with_nothing_in_them_are_finite():
    p = jnp.stack([jnp.zeros((2, 2, 2)), jnp.ones((2, 2, 2))])
    nothing = jnp.zeros_like(p)

    @jax.jit
    def values_and_gradients(p):
        of = [lambda p, f=f: f(p, nothing, smooth=0.0) for f in OVERLAPS]
        of += [lambda p: losses.generalized_dice_loss(p, nothing)]
        of += [lambda p: losses.lovasz_hinge(p - 1, nothing, spatial=3)]
        of += [lambda p: losses.lovasz_softmax(p, nothing[..., 0].astype(int), mask=nothing[..., 0])]
        each = lambda p: jnp.stack([f(p) for f in of])
        return each(p), jax.grad(lambda p: each(p).sum())(p)

    values, gradients = values_and_gradients(p)
    np.testing.assert_array_equal(values[:5], [[0, 1]] * 5)
    np.testing.assert_array_equal(values[5:, 0], 0)
    assert np.isfinite(gradients).all()


def test_a_label_out_of_range_raises_or_gives_nan_for_that_image():
    x, y = jnp.zeros((2, 3, 2)), jnp.array([[0, 1, 1], [0, 2, 1]])
    with pytest.raises(ValueError, match=r"lovasz_softmax: expected labels in 0\.\.1 \(2 classes\)"):
        losses.lovasz_softmax(x, y, spatial=1)
    loss = jax.jit(lambda y, mask=None: losses.lovasz_softmax(x, y, spatial=1, mask=mask))
    assert jnp.isnan(loss(y)).tolist() == [False, True]
    assert jnp.isfinite(loss(y, y < 2)).all()


X = jnp.zeros((2, 2, 1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.dice_loss(X, X[0]), ValueError, "dice_loss: expected equal shapes"),
        (lambda: losses.dice_loss(X + 2, X), ValueError, r"dice_loss: expected probabilities in \[0, 1\]"),
        (lambda: losses.jaccard_loss(X, X - 2), ValueError, r"jaccard_loss: expected targets in \[0, 1\]"),
        (lambda: losses.tversky_loss(X, X, mask=X), ValueError, r"expected a mask \(2, 2\), found float32\[2,2,1\]"),
        (lambda: losses.tversky_loss(X, X, spatial=3), ValueError, "expected 3 spatial axes, found pixels"),
        (lambda: losses.tversky_loss(X, X, false_positives=-1.0), ValueError, "expected false_positives >= 0"),
        (lambda: losses.focal_tversky_loss(X, X, gamma=0.0), ValueError, "expected gamma > 0, found 0"),
        (lambda: losses.generalized_dice_loss(X > 0, X), TypeError, "expected floating-point input, found bool"),
        (lambda: losses.lovasz_hinge(X, X - 1), ValueError, "lovasz_hinge: expected targets of 0 and 1"),
        (lambda: losses.lovasz_hinge(X, X[0]), ValueError, "lovasz_hinge: expected equal shapes"),
        (
            lambda: losses.lovasz_softmax(X, jnp.zeros(2, int)),
            ValueError,
            r"lovasz_softmax: expected labels \(2, 2\) for float32\[2,2,1\], found int32\[2\]",
        ),
        (lambda: losses.lovasz_softmax(X, X[..., 0]), TypeError, "lovasz_softmax: expected integers"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
