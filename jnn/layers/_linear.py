"""Linear maps, from any number of axes to any number of axes.

Laws: `linear(p, x)` acts on the last axes of x and leaves the leading ones free; a bias is added
iff `"b" in p`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import backend, checks
from jnn.initializers import Init, lecun_normal, zeros
from jnn.param import Param, Spec
from jnn.precision import add_bias, narrow


def linear_spec(
    d_in: int | Sequence[int],
    d_out: int | Sequence[int],
    *,
    axes: Sequence[str] = ("embed", "hidden"),
    bias: bool = True,
    init: Init = lecun_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a linear map, or dense layer: `x @ w + b`.

    Args:
      d_in: the size of the last axis of the input, or the sizes of its last axes.
      d_out: the same of the output.
      axes: names of w's axes, inputs first. They must differ.
      bias: whether there is a "b", of shape d_out, initially zero.
      init: initial values of w.
      dtype: of w and b.

    Returns:
      {"w": (*d_in, *d_out), "b": (*d_out,)}

    >>> linear_spec(64, (4, 16), axes=("embed", "heads", "head"))["w"].shape
    (64, 4, 16)
    """
    ins = (d_in,) if isinstance(d_in, int) else tuple(d_in)
    outs = (d_out,) if isinstance(d_out, int) else tuple(d_out)
    names = tuple(axes)
    if len(names) != len(ins + outs):
        raise ValueError(
            f"linear_spec: expected a name for each of {len(ins + outs)} axes {(*ins, *outs)}, found axes={names}. "
            f"Type axes={(*(f'in{i}' for i in range(len(ins))), *(f'out{i}' for i in range(len(outs))))} or other "
            f"names, and linear(p, x, in_axes={len(ins)})."
        )
    fan_in, fan_out = names[: len(ins)], names[len(ins) :]
    spec = {"w": Param((*ins, *outs), init, names, dtype, fan_in=fan_in, fan_out=fan_out)}
    if bias:
        spec["b"] = Param(outs, zeros, fan_out, dtype)
    return spec


def linear(p: dict[str, jax.Array], x: jax.Array, *, in_axes: int = 1) -> jax.Array:
    """Linear map, or dense layer: `x @ w + b`, contracting the last `in_axes` axes of x with the first of w.

    Args:
      p: {"w": (*d_in, *d_out), "b": (*d_out,)}, the bias optional.
      x: (..., *d_in), floating point.
      in_axes: how many axes d_in has.

    Returns:
      (..., *d_out), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axes are not d_in, or x is empty.

    >>> p = {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}
    >>> linear(p, jnp.ones((5, 4, 3))).shape
    (5, 4, 2)
    """
    x, w = operands("linear", p, x, in_axes)
    w = w.astype(x.dtype)
    d_in, d_out = w.shape[:in_axes], w.shape[in_axes:]
    leading = x.shape[: x.ndim - in_axes]
    if backend.choose("dense") == "flat":
        y = x.reshape(-1, math.prod(d_in)) @ w.reshape(math.prod(d_in), -1)
        y = y.reshape(*leading, *d_out)
    else:
        y = jnp.tensordot(x, w, axes=in_axes)
    return add_bias(y, p["b"]) if "b" in p else y


def operands(name: str, p: dict[str, jax.Array], x: jax.Array, in_axes: int) -> tuple[jax.Array, jax.Array]:
    """x, in the dtype in force, and w, in its own: what `name` is to multiply; raises unless they fit."""
    checks.params(name, p, "w", may=("b",))
    checks.array(name, x)
    x, w = narrow(x), p["w"]
    checks.floats(name, x, ndim=in_axes)
    if (fitting := _fitting_axes(w, x)) not in (None, in_axes):
        raise ValueError(f"{name}: w {w.shape} and x {checks.describe(x)} fit with in_axes={fitting}, found {in_axes}.")
    checks.trailing(name, x, w.shape[:in_axes])
    return x, w


def _fitting_axes(w: jax.Array, x: jax.Array) -> int | None:
    """How many of w's first axes are x's last, where they are only for one number; else None."""
    fits = [n for n in range(1, min(w.ndim, x.ndim) + 1) if w.shape[:n] == x.shape[x.ndim - n :]]
    return fits[0] if len(fits) == 1 else None
