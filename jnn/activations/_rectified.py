"""Rectifiers whose slope below zero is learned, or drawn."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.param import Param, Spec, check_key
from jnn.precision import over_last_axes, wide


def prelu_spec(
    features: int | None = None, *, slope: float = 0.25, axis: str = "hidden", dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares the slope of a parametric ReLU (`prelu`): one for all, or one per feature.

    See "Delving Deep into Rectifiers", He, Zhang, Ren and Sun, 2015. They advise against decaying it, and
    `jnn.weight_mask` leaves it out.

    Returns:
      {"slope": ()} or {"slope": (features,)}

    >>> prelu_spec(8)["slope"].shape
    (8,)
    """
    shape, names = ((), ()) if features is None else ((features,), (axis,))
    return {"slope": Param(shape, jax.nn.initializers.constant(slope), names, dtype)}


def prelu(p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Parametric ReLU: x where x > 0, else slope * x, with a learned slope.

    Args:
      p: {"slope": () or (features,)}.
      x: (..., features), floating point.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axis is not the features that the slope was declared for.

    >>> prelu({"slope": jnp.array(0.1)}, jnp.array([-10.0, 5.0]))
    Array([-1.,  5.], dtype=float32)
    """
    checks.params("prelu", p, "slope")
    checks.array("prelu", x)
    checks.floats("prelu", x, ndim=p["slope"].ndim)
    checks.trailing("prelu", x, p["slope"].shape)
    h = wide(x)
    return jnp.where(h > 0, h, over_last_axes(p["slope"], h) * h).astype(x.dtype)


def rrelu(x: jax.Array, lower: float = 1 / 8, upper: float = 1 / 3, *, key: jax.Array | None) -> jax.Array:
    """Randomized ReLU: x where x > 0, else slope * x, with a slope drawn for each element between lower and upper.

    See "Empirical Evaluation of Rectified Activations in Convolutional Network", Xu, Wang, Chen and Li, 2015.

    Args:
      x: any shape, floating point.
      lower, upper: the range of the slope.
      key: a PRNG key, or None for the mean slope. It has no default: choose.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.

    >>> rrelu(jnp.array([-8.0, 5.0]), 0.0, 0.5, key=None)
    Array([-2.,  5.], dtype=float32)
    """
    checks.floats("rrelu", x, ndim=0)
    check_key("rrelu", key, optional=True)
    if key is None:
        return jax.nn.leaky_relu(x, (lower + upper) / 2)
    return jnp.where(x > 0, x, jax.random.uniform(key, x.shape, x.dtype, lower, upper) * x)
