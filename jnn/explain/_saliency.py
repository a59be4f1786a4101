"""Saliency: the gradient of a score with regard to its input, as it is, times the input, and averaged over noise.

Laws: of a linear function `w @ x + b` the gradient is w, whatever the noise; an input times its gradient adds up to the
score of a homogeneous function (a network of linear maps without biases and ReLUs).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.explain._score import Score, example, score, weighted_sum
from jnn.param import check_key
from jnn.precision import wide


def gradient(f: Score, x: jax.Array) -> jax.Array:
    """Gradient of a score with regard to its input, with its sign.

    Args, Returns, Raises: as `saliency`.

    >>> gradient(lambda x: (x**2).sum(), jnp.array([1.0, -3.0])).tolist()
    [2.0, -6.0]
    """
    return jax.grad(score("gradient", f))(example("gradient", x))


def saliency(f: Score, x: jax.Array) -> jax.Array:
    """Saliency map: how much a score changes with each element of its input, `abs(df/dx)`.

    See "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps", Simonyan,
    Vedaldi and Zisserman, 2013. Of images they show the largest over the channels, `.max(-1)`.

    Args:
      f: of one example to one number, such as `lambda x: model(params, x)[label]`.
      x: (...), one example, floating point; of a batch, `jax.vmap`.

    Returns:
      (...), in x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is empty, or f(x) not one number.

    >>> saliency(lambda x: (x**2).sum(), jnp.array([1.0, -3.0])).tolist()
    [2.0, 6.0]
    """
    return jnp.abs(jax.grad(score("saliency", f))(example("saliency", x)))


def input_times_gradient(f: Score, x: jax.Array) -> jax.Array:
    """Input times gradient: `x * df/dx`, what each element contributes to a linear function.

    See "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences", Shrikumar,
    Greenside, Shcherbina and Kundaje, 2016.

    Args, Returns, Raises: as `saliency`.

    >>> input_times_gradient(lambda x: x @ jnp.array([2.0, 1.0]), jnp.array([1.0, -3.0])).tolist()
    [2.0, -3.0]
    """
    x = example("input_times_gradient", x)
    return x * jax.grad(score("input_times_gradient", f))(x)


def smooth_grad(
    f: Score,
    x: jax.Array,
    *,
    key: jax.Array,
    noise: float,
    samples: int = 50,
    of: Callable[[Score, jax.Array], jax.Array] = gradient,
    batch_size: int | None = None,
) -> jax.Array:
    """SmoothGrad: the mean of an explanation over copies of the input with Gaussian noise.

    See "SmoothGrad: removing noise by adding noise", Smilkov, Thorat, Kim, Viégas and Wattenberg, 2017.

    Args:
      f, x: as in `saliency`.
      key: of the noise.
      noise: its standard deviation, in x's units; the paper finds 10 to 20 % of the range of x best.
      samples: how many copies.
      of: what is averaged, of (f, x): the gradient, as in the paper, or another explanation.
      batch_size: how many copies are explained at a time; None for all.

    Returns:
      (...), of what is averaged, in x's dtype.

    Raises:
      TypeError: x is not floating point, or the key not one PRNG key.
      ValueError: x is empty, f(x) is not one number, noise is negative, or samples are not 1 or more.

    >>> mean = smooth_grad(lambda x: x @ jnp.array([2.0, 1.0]), jnp.ones(2), key=jax.random.key(0), noise=0.1)
    >>> [round(v, 3) for v in mean.tolist()]
    [2.0, 1.0]
    """
    x, f = example("smooth_grad", x), score("smooth_grad", f)
    check_key("smooth_grad", key)
    checks.count("smooth_grad", "samples", samples)
    noise = checks.number("smooth_grad", "noise", noise, lambda n: n >= 0, "of at least 0", like=x)
    h = wide(x)
    noisy = (h[None] + noise * jax.random.normal(key, (samples, *x.shape), h.dtype)).astype(x.dtype)
    share = jnp.full(samples, 1 / samples, h.dtype)
    return weighted_sum(lambda x: of(f, x), share, noisy, batch_size=batch_size).astype(x.dtype)
