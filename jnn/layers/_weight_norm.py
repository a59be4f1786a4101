"""Normalization of weights, before a layer uses them: by their length, or by their mean and variance.

    linear({"w": weight_norm(p["w"]), "b": p["b"]}, x)              p["w"] as weight_norm_spec(linear_spec(...)["w"])
    conv({"w": weight_standardization(p["w"]), "b": p["b"]}, x)

Laws: the scale of what is normalized changes nothing; outputs are the last axes of a weight, each normalized by itself
over all other axes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.initializers import Initializer, ones
from jnn.layers._unit_norm import unit_norm
from jnn.param import Param, Spec
from jnn.precision import over_last_axes, wide


def weight_norm_spec(w: Param, *, init: Initializer = ones) -> Spec:
    """Declares a weight by its direction and its length.

    Args:
      w: the declaration of a weight, whose fan-out is its last axes.
      init: initial values of the lengths, one for each output; ones make outputs of variance 1 of such inputs.

    Returns:
      {"direction": as w, "scale": w's last axes}

    Raises:
      ValueError: w's last axes are not its fan-out.

    >>> from jnn.layers import linear_spec
    >>> weight_norm_spec(linear_spec(3, 5)["w"])["scale"].shape
    (5,)
    """
    n = len(w.fan_out)
    if not n or w.axes[-n:] != w.fan_out:
        raise ValueError(f"weight_norm_spec: expected a weight whose last axes are its fan-out, found {w}.")
    return {"direction": w, "scale": Param(w.shape[-n:], init, w.fan_out, w.dtype)}


def weight_norm(p: dict[str, jax.Array]) -> jax.Array:
    """Weight normalization: `scale * direction / norm(direction)`, the norm of each output's weights.

    See "Weight Normalization: A Simple Reparameterization to Accelerate Training of Deep Neural Networks", Salimans and
    Kingma, 2016.

    Args:
      p: {"direction": (*ins, *outs), "scale": (*outs)}, the scale optional where there is one axis of outputs.

    Returns:
      The weight (*ins, *outs), in the direction's dtype; zeros where it is zero.

    Raises:
      ValueError: the scale's axes are not the last of the direction.

    >>> weight_norm({"direction": jnp.array([[3.0], [4.0]]), "scale": jnp.array([10.0])}).squeeze(-1).tolist()
    [6.0, 8.0]
    """
    checks.params("weight_norm", p, "direction", may=("scale",))
    direction = p["direction"]
    outs = p["scale"].ndim if "scale" in p else 1
    checks.floats("weight_norm", direction, ndim=outs + 1)
    w = unit_norm(wide(direction), tuple(range(direction.ndim - outs)))
    if "scale" in p:
        checks.trailing("weight_norm", direction, p["scale"].shape)
        w = w * over_last_axes(p["scale"], w)
    return w.astype(direction.dtype)


def weight_standardization(w: jax.Array, *, out_axes: int = 1, epsilon: float = 1e-10) -> jax.Array:
    """Weight standardization: each output's weights with mean 0 and variance 1.

    See "Micro-Batch Training with Batch-Channel Normalization and Weight Standardization", Qiao et al., 2019.

    Args:
      w: (*ins, *outs), floating point.
      out_axes: how many axes outs has.
      epsilon: added to the variance.

    Returns:
      w's shape and dtype.

    Raises:
      TypeError: w is not floating point.
      ValueError: w has no axis of inputs, or is empty.

    >>> weight_standardization(jnp.array([[1.0], [3.0]])).squeeze(-1).tolist()
    [-1.0, 1.0]
    """
    checks.floats("weight_standardization", w, ndim=out_axes + 1)
    axes = tuple(range(w.ndim - out_axes))
    h = wide(w)
    h = h - jnp.mean(h, axes, keepdims=True)
    return (h * jax.lax.rsqrt(jnp.mean(jnp.square(h), axes, keepdims=True) + epsilon)).astype(w.dtype)
