"""Two examples in one: `mixup` blends images and targets, `cutmix` pastes a rectangle.

Laws: a row's target is made of the same shares as its image; each real row is mixed with one other
real row, and each is used once; a padding row (weight 0) is mixed with nothing but itself, and
`key=None` mixes nothing.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.data.augment._given import check_input
from jnn.data.augment._pixels import check_blendable, check_images, restore
from jnn.data.augment._window import rectangle
from jnn.param import check_key
from jnn.precision import wide, wide_integers


def mixup(
    x: jax.Array,
    y: jax.Array,
    alpha: float,
    *,
    weight: jax.Array | None,
    key: jax.Array | None,
    classes: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Mixup: `share * x + (1 - share) * other`, and the same of the targets; a share ~ Beta(alpha, alpha) a row.

    See "mixup: Beyond Empirical Risk Minimization", Zhang et al., 2018, with alpha 0.2 for ImageNet.

    Args:
      x: (b, ...), floating point, or integers of 8 or 16 bits: any data of one shape.
      y: (b,) integer labels, with `classes`; or floating-point targets (b, ...).
      alpha: positive; towards 0 one of the two prevails.
      weight: (b,), a batch's: 0 marks padding rows, which no other row gets. None where all rows are real.
      key: a PRNG key, or None for no augmentation.
      classes: how many there are, for integer labels.

    Returns:
      x mixed, in its dtype; y mixed: (b, classes) float32 for labels, otherwise in its shape and dtype.

    Raises:
      TypeError: x of another dtype.
      ValueError: an alpha that is not positive, labels without `classes` or targets with it, labels out of
        range, or lengths that differ.

    >>> x, y = mixup(jnp.ones((2, 3)), jnp.array([0, 1]), 0.2, weight=None, key=None, classes=2)
    >>> y.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    targets = _targets("mixup", x, y, alpha, weight, classes)
    check_blendable("mixup", x)
    check_key("mixup", key, optional=True)
    if key is None:
        return x, targets
    pair, draw = jax.random.split(key)
    other = partners(pair, x.shape[0], weight)
    share = jax.random.beta(draw, alpha, alpha, (x.shape[0],))
    return restore(_blend(wide(x), other, share), x), restore(_blend(targets, other, share), targets)


def cutmix(
    x: jax.Array,
    y: jax.Array,
    alpha: float,
    *,
    weight: jax.Array | None,
    key: jax.Array | None,
    classes: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """CutMix: pastes a rectangle of another image at its own place; targets are mixed by the share of the area.

    See "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", Yun et
    al., 2019, with alpha 1. The rectangle's area is 1 - share for a share ~ Beta(alpha, alpha), its centre
    lies anywhere, and what is left of it inside the image counts. Arguments, results and errors as
    `mixup`, with images x (b, y, x, c), and integers of any size.

    >>> x, y = cutmix(jnp.ones((2, 4, 4, 1)), jnp.eye(2), 1.0, weight=None, key=jax.random.key(0))
    >>> y.sum(1).tolist()
    [1.0, 1.0]
    """
    check_images("cutmix", x)
    targets = _targets("cutmix", x, y, alpha, weight, classes)
    check_key("cutmix", key, optional=True)
    if key is None:
        return x, targets
    b, height, width, _ = x.shape
    pair, draw, where = jax.random.split(key, 3)
    other = partners(pair, b, weight)
    side = jnp.sqrt(1 - jax.random.beta(draw, alpha, alpha, (b,)))
    center = jax.random.uniform(where, (b, 2))
    half = lambda n: (side * n / 2).astype(jnp.int32)
    middle = lambda i, n: (center[:, i] * n).astype(jnp.int32)
    row, column = middle(0, height), middle(1, width)
    pasted = rectangle(
        row - half(height), row + half(height), column - half(width), column + half(width), (height, width)
    )
    share = 1 - pasted.mean((1, 2, 3))
    return jnp.where(pasted, x[other], x), restore(_blend(targets, other, share), targets)


def _blend(a: jax.Array, other: jax.Array, share: jax.Array) -> jax.Array:
    s = share.reshape((-1,) + (1,) * (a.ndim - 1))
    return jnp.where(_itself(other, a), a, s * a + (1 - s) * a[other])


def _itself(other: jax.Array, a: jax.Array) -> jax.Array:
    """Where a row was paired with itself, and so has to stay as it is to the last bit."""
    return (other == jnp.arange(len(other))).reshape((-1,) + (1,) * (a.ndim - 1))


def partners(key: jax.Array, b: int, weight: jax.Array | None) -> jax.Array:
    """For each row another one, (b,): the real rows in a random cycle, padding rows themselves."""
    real = jnp.ones(b, bool) if weight is None else weight > 0
    order = jnp.argsort(jnp.where(real, jax.random.uniform(key, (b,)), 2.0))  # the real rows first
    place, n = jnp.arange(b), real.sum()
    following = jnp.where(place >= n, place, jnp.where(place + 1 == n, 0, place + 1))
    return jnp.zeros(b, order.dtype).at[order].set(order[following])


def _targets(
    name: str, x: jax.Array, y: jax.Array, alpha: float, weight: jax.Array | None, classes: int | None
) -> jax.Array:
    """Targets that can be mixed, after all checks."""
    check_input(name, x)
    check_input(name, y, "y")
    checks.rank(name, x, 1)
    if not jnp.issubdtype(x.dtype, jnp.integer) and not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{name}: expected x of integers or floating point, found {checks.describe(x)}.")
    if not 0 < alpha < float("inf"):
        raise ValueError(f"{name}: alpha must be positive, found {alpha}.")
    if y.ndim < 1 or len(y) != len(x) or (weight is not None and weight.shape != (len(x),)):
        found = f"y {checks.describe(y)}" + ("" if weight is None else f", weight {checks.describe(weight)}")
        raise ValueError(f"{name}: expected one target and one weight for each of {len(x)} rows, found {found}.")
    if jnp.issubdtype(y.dtype, jnp.floating) and classes is None:
        return y
    if not jnp.issubdtype(y.dtype, jnp.integer) or y.ndim != 1 or classes is None:
        raise ValueError(
            f"{name}: expected integer labels (b,) with `classes`, or floating-point targets without; "
            f"found {checks.describe(y)} with classes={classes}."
        )
    checks.in_range(name, y, classes)
    return jax.nn.one_hot(wide_integers(y), classes)
