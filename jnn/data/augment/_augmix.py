"""AugMix: several chains of operations, mixed with one another and with the image itself.

Law: a mix is convex: where an image and all of its chains have one colour, so has the mix.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.data.augment._pixels import check_bound, check_colors, from_unit, to_unit
from jnn.data.augment._rand_augment import OPS, apply_ops
from jnn.data.augment._warp import check_method
from jnn.param import check_key

# the ones that no benchmark of corruptions tests
DRAWN = (
    "autocontrast",
    "equalize",
    "posterize",
    "rotate",
    "solarize",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)


def augmix(
    x: jax.Array,
    *,
    key: jax.Array | None,
    chains: int = 3,
    depth: int = 3,
    magnitude: float = 3.0,
    alpha: float = 1.0,
    method: str = "bilinear",
    fill: float = 0.0,
) -> jax.Array:
    """AugMix: `share * x + (1 - share) * (sum of weights * chains of x)`, each chain of a few random operations.

    See "AugMix: A Simple Data Processing Method to Improve Robustness and Uncertainty", Hendrycks et al., 2020. Shares
    are drawn from Beta(alpha, alpha), weights from Dirichlet(alpha, ...), lengths of chains evenly; operations evenly
    from nine of those of `rand_augment`, less brightness, contrast, saturation and sharpness, with amounts as there.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1], grey or RGB.
      key: a PRNG key, or None for no augmentation.
      chains: how many, 1 or more.
      depth: the most operations of one, 1 or more.
      magnitude: the greatest of an operation, from 0 to 10; each is drawn evenly from 0 on.
      alpha: positive; towards 0 one chain prevails, or the image itself.
      method, fill: as for `warp`.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, floats outside [0, 1], or amounts, method or fill out of range.

    >>> jax.eval_shape(lambda x: augmix(x, key=jax.random.key(0)), jnp.zeros((2, 8, 8, 3), jnp.uint8)).shape
    (2, 8, 8, 3)
    """
    check_colors("augmix", x, rgb=True)
    check_method("augmix", x, method, fill)
    check_bound("augmix", "magnitude", magnitude, 10)
    checks.count("augmix", "chains", chains)
    checks.count("augmix", "depth", depth)
    if not 0 < alpha < float("inf"):
        raise ValueError(f"augmix: alpha must be positive, found {alpha}.")
    check_key("augmix", key, optional=True)
    if key is None:
        return x
    b, keys = len(x), jax.random.split(key, 5)
    each = (b, chains, depth)
    ops = jax.random.choice(keys[0], np.array([OPS.index(name) for name in DRAWN]), each)
    some = jax.random.randint(keys[1], (b, chains, 1), 1, depth + 1)
    ops = jnp.where(jnp.arange(depth)[None, None] < some, ops, OPS.index("identity"))
    signs = jnp.where(jax.random.bernoulli(keys[2], 0.5, each), 1.0, -1.0)
    strengths = jax.random.uniform(keys[3], each, maxval=magnitude / 10)
    # Dirichlet's numbers are Gamma's over their sum, and Beta's are Dirichlet's of two
    gamma = jax.random.loggamma(keys[4], alpha, (b, chains + 2))
    weights, share = jax.nn.softmax(gamma[:, :chains]), jax.nn.softmax(gamma[:, chains:])[:, 0]
    return mix_chains(x, ops, signs, strengths, weights, share, method=method, fill=fill)


def mix_chains(
    x: jax.Array,
    ops: jax.Array,
    signs: jax.Array,
    strengths: jax.Array,
    weights: jax.Array,
    share: jax.Array,
    *,
    method: str,
    fill: float,
) -> jax.Array:
    """The mix of chains of these operations of `OPS` (b, chains, depth), by weights (b, chains) and shares (b,)."""
    b, chains, _ = ops.shape
    # all chains are one batch, whose rounds one program makes
    rounds = [jnp.moveaxis(each.reshape(b * chains, -1), -1, 0) for each in (ops, signs, strengths)]
    apply = lambda y, drawn: (apply_ops(y, *drawn, method=method, fill=fill), None)
    ends, _ = jax.lax.scan(apply, jnp.repeat(x, chains, 0), rounds)
    exact, ends = to_unit(x), to_unit(ends.reshape(b, chains, *x.shape[1:]))
    mixed = jnp.sum(weights.reshape(b, chains, 1, 1, 1) * ends, 1)
    kept = share.reshape(b, 1, 1, 1)
    return from_unit(kept * exact + (1 - kept) * mixed, x)
