"""Kolmogorov-Arnold layer: on every edge from input to output a function of one number, learned as a spline.

    b_spline_basis(x, knots, degree) -> (..., len(knots) - degree - 1)
    kan(p, x) -> y

Laws: between the knots that `degree` others precede and follow, the basis is at least 0 and its sum is 1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jnn import checks
from jnn.activations import silu
from jnn.initializers import Init, glorot_uniform, normal
from jnn.layers._linear import linear
from jnn.param import Param, Spec
from jnn.precision import narrow, wide

small = normal(0.1)


def b_spline_basis(x: jax.Array, knots: ArrayLike, degree: int) -> jax.Array:
    """B-spline basis: each of its functions at x, by the recurrence of Cox and de Boor.

    See "A Practical Guide to Splines", de Boor, 1978. It is zero before the first knot and from the last one on.

    Args:
      x: (...), floating point.
      knots: (k,), ascending, known when it is traced; they may be equal.
      degree: of the pieces: 3 is cubic.

    Returns:
      (..., k - degree - 1), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: knots are no ascending list of degree + 2 or more, or the degree is negative.

    >>> b_spline_basis(jnp.array([0.5, 1.5]), [0.0, 1.0, 2.0], 1).tolist()
    [[0.5], [0.5]]
    """
    checks.floats("b_spline_basis", x, ndim=0)
    t = np.asarray(knots, np.float64)
    if degree < 0 or t.ndim != 1 or len(t) < degree + 2 or (np.diff(t) < 0).any():
        raise ValueError(
            f"b_spline_basis: expected a degree of 0 or more and degree + 2 ascending knots or more, found degree "
            f"{degree} and knots of shape {t.shape}."
        )
    exact = wide(x)[..., None]
    row = lambda a: jnp.asarray(a, exact.dtype).reshape((1,) * x.ndim + (-1,))
    # beyond all knots any factor will do, and there is one that is finite
    near = jnp.where((exact < t[0]) | (exact > t[-1]), jnp.asarray(t[0], exact.dtype), exact)
    basis = ((exact >= row(t[:-1])) & (exact < row(t[1:]))).astype(exact.dtype)
    inverse = lambda a: np.divide(1, a, out=np.zeros_like(a), where=a > 0)  # of equal knots, 0 / 0 is 0
    for k in range(1, degree + 1):
        left = (near - row(t[: -k - 1])) * row(inverse(t[k:-1] - t[: -k - 1]))
        right = (row(t[k + 1 :]) - near) * row(inverse(t[k + 1 :] - t[1:-k]))
        basis = left * basis[..., :-1] + right * basis[..., 1:]
    return basis.astype(x.dtype)


def kan_spec(
    d_in: int,
    d_out: int,
    *,
    intervals: int = 5,
    degree: int = 3,
    init: Init = glorot_uniform,
    spline_init: Init = small,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a Kolmogorov-Arnold layer (`kan`).

    Args:
      d_in: the size of the last axis of the input.
      d_out: the same of the output.
      intervals: into how many pieces the domain falls.
      degree: of the pieces; give `kan` the same.
      init: initial values of the weights of the SiLU.
      spline_init: those of the splines.
      dtype: of all.

    Returns:
      {"w": (d_in, d_out), "spline": (d_in, intervals + degree, d_out)}

    >>> kan_spec(3, 5)["spline"].shape
    (3, 8, 5)
    """
    size, names = (d_in, intervals + degree, d_out), ("embed", "basis", "hidden")
    base = Param((d_in, d_out), init, ("embed", "hidden"), dtype, ("embed",), ("hidden",))
    return {"w": base, "spline": Param(size, spline_init, names, dtype, ("embed", "basis"), ("hidden",))}


def kan(
    p: dict[str, jax.Array],
    x: jax.Array,
    *,
    degree: int = 3,
    domain: tuple[float, float] = (-1.0, 1.0),
) -> jax.Array:
    """Kolmogorov-Arnold layer, KAN: sums of splines of each input, and of its SiLU.

    See "KAN: Kolmogorov-Arnold Networks", Liu et al., 2024. The knots are equally far apart; outside of the domain the
    splines fade to zero, and the SiLU is left.

    Args:
      p: as declared by `kan_spec`.
      x: (..., d_in), floating point.
      degree: of the splines' pieces.
      domain: where the splines are.

    Returns:
      (..., d_out), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x does not fit p, which has to have more functions than `degree`, or the domain is empty.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), kan_spec(3, 2))
    >>> kan(p, jnp.zeros((5, 3))).shape
    (5, 2)
    """
    checks.params("kan", p, "w", "spline")
    checks.floats("kan", x)
    checks.trailing("kan", x, p["w"].shape[:1])
    (low, high), intervals = domain, p["spline"].shape[1] - degree
    if not (low < high and degree >= 0 and intervals > 0):
        raise ValueError(
            f"kan: expected a domain (low, high) and a degree in 0..{p['spline'].shape[1] - 1}, as kan_spec was given, "
            f"found {domain} and {degree}."
        )
    x = narrow(x)
    knots = low + (high - low) / intervals * np.arange(-degree, intervals + degree + 1)
    curves = jnp.einsum("...ik,iko->...o", b_spline_basis(x, knots, degree), p["spline"].astype(x.dtype))
    return linear({"w": p["w"]}, silu(x)) + curves
