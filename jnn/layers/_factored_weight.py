"""Factored weights: two maps in place of a linear map's "w", whose product is a matrix of low rank.

    factor_weight(w, rank) -> {"down": (*d_in, rank), "up": (rank, *d_out)}

Laws: of all matrices of that rank none is nearer to w; of full rank the product is w, to rounding.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide

FactoredWeight = dict[str, jax.Array]


def factor_weight(
    w: jax.Array, rank: int, *, in_axes: int = 1, second_moment: jax.Array | None = None
) -> FactoredWeight:
    """Low-rank factorization of a weight: by its singular values, the two maps whose product is nearest to it.

    See "Exploiting Linear Structure Within Convolutional Networks for Efficient Evaluation", Denton et al., 2014; with
    a second moment of inputs, the nearest in what it gives of them: "SVD-LLM: Truncation-aware Singular Value
    Decomposition for Large Language Model Compression", Wang et al., 2025.

    Args:
      w: (*d_in, *d_out), floating point.
      rank: of the product.
      in_axes: how many axes d_in has.
      second_moment: (d_in, d_in), the mean of `outer(x, x)` over inputs laid flat.

    Returns:
      {"down": (*d_in, rank), "up": (rank, *d_out)}, in w's dtype: what `linear` reads in place of w.

    Raises:
      ValueError: rank is not from 1 to that of a matrix of this shape, or the moment of another size.

    >>> w = jnp.outer(jnp.arange(3.0), jnp.ones(2))
    >>> q = factor_weight(w, 1)
    >>> q["down"].shape, bool(jnp.allclose(q["down"] @ q["up"], w, atol=1e-5))
    ((3, 1), True)
    """
    checks.floats("factor_weight", w, ndim=2)
    ins, outs = w.shape[:in_axes], w.shape[in_axes:]
    flat = wide(w).reshape(math.prod(ins), math.prod(outs))
    checks.count("factor_weight", "rank", rank)
    if rank > min(flat.shape):
        raise ValueError(f"factor_weight: expected a rank of at most {min(flat.shape)} of {w.shape}, found {rank}.")
    root = None if second_moment is None else _root(second_moment, len(flat))
    u, s, v = jnp.linalg.svd(flat if root is None else root @ flat, full_matrices=False)
    half = jnp.sqrt(s[:rank])  # shared out, so that both maps are of one scale
    down = u[:, :rank] * half[None]
    down = down if root is None else jax.scipy.linalg.solve_triangular(root, down)
    up = half[:, None] * v[:rank]
    return {"down": down.reshape(*ins, rank).astype(w.dtype), "up": up.reshape(rank, *outs).astype(w.dtype)}


def _root(moment: jax.Array, n: int) -> jax.Array:
    """R (n, n), upper triangular, with `R.T @ R` the moment: `norm(R @ (w - w'))` is the error of outputs."""
    if moment.shape != (n, n):
        raise ValueError(f"factor_weight: expected a second moment ({n}, {n}), found {checks.describe(moment)}.")
    wide_moment = wide(moment)
    least = jnp.finfo(wide_moment.dtype).eps * jnp.trace(wide_moment)  # of directions that no input has
    return jnp.linalg.cholesky(wide_moment + least * jnp.eye(n, dtype=wide_moment.dtype), upper=True)
