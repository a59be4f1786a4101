"""Linear maps whose products are of 8 bits.

Laws: no row sees another's scale, so that a batch is as its rows are; the weights' gradients are those of `linear`.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._linear import fitting
from jnn.precision import add_bias, wide
from jnn.vectors import scale_of

FORWARD, BACKWARD = jnp.float8_e4m3fn, jnp.float8_e5m2  # more digits for values, more range for gradients


def fp8_linear(p: dict[str, jax.Array], x: jax.Array, *, in_axes: int = 1) -> jax.Array:
    """8-bit floating-point (FP8) linear map: `linear` with its products, and those of x's gradient, in 8 bits.

    Values and weights are float8_e4m3fn, gradients float8_e5m2, all scaled now (not by a history) and along what is
    summed over: each row of x, each output's weights by their own greatest. The weights' gradient is a sum over rows,
    whose scales differ; it is computed in x's dtype. See "FP8 Formats for Deep Learning", Micikevicius et al., 2022.

    Args:
      p: as declared by `linear_spec`; they stay in their dtype.
      x: (..., *d_in), floating point.
      in_axes: how many axes d_in has.

    Returns:
      (..., *d_out), in x's dtype, summed in float32. A factor keeps 4 significant bits (of gradients 3), fewer below
      3e-5 of the greatest of its sum, none below 2e-6. Machines without such products convert, and are slower than
      with `linear`.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axes are not d_in, or x is empty.

    >>> fp8_linear({"w": jnp.eye(2)}, jnp.array([1.0, -2.0])).round(3).tolist()
    [1.0, -2.0]
    """
    checks.params("fp8_linear", p, "w", may=("b",))
    w = p["w"]
    x = fitting("fp8_linear", w.shape, x, in_axes)
    d_in, d_out = w.shape[:in_axes], w.shape[in_axes:]
    leading = x.shape[: x.ndim - in_axes]
    y = _matmul(x.reshape(*leading, math.prod(d_in)), w.reshape(math.prod(d_in), -1)).reshape(*leading, *d_out)
    return add_bias(y, p["b"]) if "b" in p else y


@jax.custom_vjp
def _matmul(x: jax.Array, w: jax.Array) -> jax.Array:
    return _product(x, w, 0, FORWARD).astype(x.dtype)


def _forward(x: jax.Array, w: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _matmul(x, w), (x, w)


def _backward(kept: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, w = kept
    rows = tuple(range(x.ndim - 1))
    dw = jnp.tensordot(x, g, (rows, rows), preferred_element_type=wide(x).dtype)
    return _product(g, w, 1, BACKWARD).astype(x.dtype), dw.astype(w.dtype)


_matmul.defvjp(_forward, _backward)


def _product(x: jax.Array, w: jax.Array, axis: int, kind: jax.typing.DTypeLike) -> jax.Array:
    """x (..., n), in 8 bits of this kind, times w along this axis of n; float32 at least."""
    (x8, x_scale), (w8, w_scale) = _scaled(x, -1, kind), _scaled(w, axis, FORWARD)
    last = (((x.ndim - 1,), (axis,)), ((), ()))
    y = jax.lax.dot_general(x8, w8, last, preferred_element_type=x_scale.dtype)
    tops = float(jnp.finfo(kind).max) * float(jnp.finfo(FORWARD).max)
    return y / tops * w_scale.reshape((1,) * (x.ndim - 1) + (-1,)).astype(y.dtype) * x_scale


def _scaled(a: jax.Array, axis: int, kind: jax.typing.DTypeLike) -> tuple[jax.Array, jax.Array]:
    """a in 8 bits, its greatest along this axis as great as they can be; and that greatest, by which to multiply."""
    h = wide(a)
    greatest = jnp.max(jnp.abs(h), axis, keepdims=True)
    there, scale = scale_of(greatest)
    more = jnp.where(there, greatest / scale, 1)  # 1, except for what is so great that it has no inverse
    return (h / scale * (float(jnp.finfo(kind).max) / more)).astype(kind), scale * more
