"""Bilinear maps: linear in each of two inputs. Laws: as `_linear`; swapping the inputs transposes w."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, lecun_normal, zeros
from jnn.param import Param, Spec
from jnn.precision import add_bias, narrow


def bilinear_spec(
    d_first: int,
    d_second: int,
    d_out: int,
    *,
    axes: tuple[str, str, str] = ("first", "second", "hidden"),
    bias: bool = True,
    init: Init = lecun_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a bilinear map of two inputs.

    Args:
      d_first: features of the first input.
      d_second: features of the second.
      d_out: features of the output.
      axes: names of w's axes.
      bias: whether there is a "b", initially zero.
      init: initial values of w, whose fan-in is the product of both inputs' features.
      dtype: of w and b.

    Returns:
      {"w": (d_first, d_second, d_out), "b": (d_out,)}

    >>> bilinear_spec(3, 4, 5)["w"].shape
    (3, 4, 5)
    """
    w = Param((d_first, d_second, d_out), init, axes, dtype, fan_in=axes[:2], fan_out=axes[2:])
    return {"w": w, "b": Param((d_out,), zeros, axes[2:], dtype)} if bias else {"w": w}


def bilinear(p: dict[str, jax.Array], first: jax.Array, second: jax.Array) -> jax.Array:
    """Bilinear map: `y_o = sum_ij first_i w_ijo second_j + b_o`.

    See "Separating Style and Content with Bilinear Models", Tenenbaum and Freeman, 2000.

    Args:
      p: {"w": (d_first, d_second, d_out), "b": (d_out,)}, the bias optional.
      first: (..., d_first), floating point.
      second: (..., d_second), with the same leading axes.

    Returns:
      (..., d_out), in first's dtype.

    Raises:
      TypeError: an input is not floating point.
      ValueError: last axes are not those of w, leading axes differ, or an input is empty.

    >>> bilinear({"w": jnp.ones((2, 3, 1))}, jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0, 1.0])).tolist()
    [6.0]
    """
    checks.params("bilinear", p, "w", may=("b",))
    for x, size in zip((first, second), p["w"].shape[:2], strict=True):
        checks.floats("bilinear", x)
        checks.trailing("bilinear", x, (size,))
    if first.shape[:-1] != second.shape[:-1]:
        raise ValueError(
            f"bilinear: expected two inputs with the same leading axes, found {checks.describe(first)} and "
            f"{checks.describe(second)}. jnp.broadcast_to one of them."
        )
    first = narrow(first)
    y = jnp.einsum("...i,...j,ijo->...o", first, second.astype(first.dtype), p["w"].astype(first.dtype))
    return add_bias(y, p["b"]) if "b" in p else y
