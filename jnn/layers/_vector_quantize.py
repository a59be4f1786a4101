"""Vector quantization: of a vector the nearest entry of a codebook, with a gradient as if nothing had happened.

    vector_quantize(p, x) -> Quantized                           VQ: codebook learned by its loss
    codebook_stats(x, ids, n), update_codebook(state, stats)     or by moving averages, state in and out
    gumbel_vector_quantize(p, x, temperature=1.0, key=key)       an entry drawn by its logit

Laws: the values are rows of the codebook, those of the ids; the straight-through gradient of the values is that of x.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import gumbel_softmax
from jnn.initializers import Init, lecun_normal, normal
from jnn.layers._linear import linear, linear_spec
from jnn.param import Param, Params, Spec
from jnn.precision import over_last_axes, take, wide

standard = normal(1.0)


class Quantized(NamedTuple):
    """Quantized vectors.

    Attributes:
      values: (..., d), rows of the codebook; their gradient goes to x as it is.
      ids: (...), int32: which rows.
      commitment: (...), float32: the mean square of x minus its row, whose gradient is x's alone.
      codebook: (...), float32: the same, whose gradient is the codebook's alone.
    """

    values: jax.Array
    ids: jax.Array
    commitment: jax.Array
    codebook: jax.Array


class Codebook(NamedTuple):
    """A codebook of moving averages: table (n, d), and its counts (n,) and sums (n, d), all float32."""

    table: jax.Array
    counts: jax.Array
    sums: jax.Array


def vector_quantize_spec(n: int, d: int, *, init: Init = standard, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a codebook (`vector_quantize`) of n vectors of d features: {"table": (n, d)}.

    >>> vector_quantize_spec(512, 64)["table"].shape
    (512, 64)
    """
    return {"table": Param((n, d), init, ("codes", "embed"), dtype)}


def vector_quantize(p: dict[str, jax.Array], x: jax.Array) -> Quantized:
    """Vector quantization, VQ: the nearest row of a codebook, with the straight-through gradient.

    See "Neural Discrete Representation Learning", van den Oord, Vinyals and Kavukcuoglu, 2017: the loss has
    `codebook + 0.25 * commitment`, or `commitment` alone with `update_codebook`.

    Args:
      p: as declared by `vector_quantize_spec`.
      x: (..., d), floating point.

    Returns:
      A `Quantized`, its values in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x does not fit p.

    >>> vector_quantize({"table": jnp.array([[0.0], [1.0]])}, jnp.array([[0.9], [0.2]])).ids.tolist()
    [1, 0]
    """
    checks.params("vector_quantize", p, "table")
    checks.floats("vector_quantize", x)
    checks.trailing("vector_quantize", x, p["table"].shape[1:])
    exact, table = wide(x), wide(p["table"]).astype(wide(x).dtype)
    fixed, point = jax.lax.stop_gradient((table, exact))
    middle = jnp.mean(fixed, 0)  # what all rows have in common would cost digits
    fixed, point = fixed - middle[None], point - over_last_axes(middle, point)
    # |x - e|^2 less |x|^2, which is the same for all rows: no array of (..., n, d)
    far = jnp.sum(jnp.square(fixed), -1) / 2
    near = jnp.tensordot(point, fixed.T, 1, precision="highest")
    ids = jnp.argmax(near - far.reshape((1,) * (x.ndim - 1) + far.shape), -1).astype(jnp.int32)
    rows = take(table, ids, known=True)
    apart = lambda a, b: jnp.mean(jnp.square(a - jax.lax.stop_gradient(b)), -1)
    # forwards the row to the last bit: x + (row - x) would lose digits
    values = jax.lax.stop_gradient(rows).astype(x.dtype) + (x - jax.lax.stop_gradient(x))
    return Quantized(values, ids, apart(exact, rows), apart(rows, exact))


def codebook_stats(
    x: jax.Array, ids: jax.Array, n: int, *, mask: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Codebook statistics: how many vectors each of n rows has, (n,), and their sums, (n, d); those of parts add up.

    Args:
      x: (..., d), floating point: what was quantized.
      ids: (...), integers: by which rows.
      n: how many rows there are.
      mask: (...), bool: which vectors count; None for all.

    Returns:
      Both float32 at least, without a gradient.

    >>> counts, sums = codebook_stats(jnp.array([[1.0], [2.0], [4.0]]), jnp.array([0, 1, 1]), 2)
    >>> counts.tolist(), sums.tolist()
    ([1.0, 2.0], [[1.0], [6.0]])
    """
    checks.floats("codebook_stats", x)
    checks.integers("codebook_stats", ids, name="ids")
    if ids.shape != x.shape[:-1]:
        raise ValueError(
            f"codebook_stats: expected ids of {x.shape[:-1]}, one per vector, found {checks.describe(ids)}."
        )
    flat, which = jax.lax.stop_gradient(wide(x)).reshape(-1, x.shape[-1]), ids.reshape(-1)
    there = jnp.ones(which.shape, bool) if mask is None else mask.reshape(-1)
    count = jax.ops.segment_sum(there.astype(flat.dtype), which, n)
    return count, jax.ops.segment_sum(jnp.where(there[:, None], flat, 0), which, n)


def update_codebook(
    state: Codebook, stats: tuple[jax.Array, jax.Array], *, decay: float = 0.99, epsilon: float = 1e-5
) -> Codebook:
    """Codebook of moving averages, moved on: each row becomes the running mean of the vectors that it stood for.

    See "Neural Discrete Representation Learning", van den Oord et al., 2017, appendix A.1, with Laplace's smoothing of
    the counts. Under micro-batches or on several devices, add up the statistics first.

    Args:
      state: begin with `Codebook(table, jnp.ones(n), table)`.
      stats: of `codebook_stats`.
      decay: of both averages.
      epsilon: added to every count, so that a row that nobody uses stays finite.

    Returns:
      The new state; `{"table": state.table}` is for `vector_quantize`.

    >>> state = Codebook(jnp.zeros((2, 1)), jnp.ones(2), jnp.zeros((2, 1)))
    >>> update_codebook(state, (jnp.array([1.0, 1.0]), jnp.array([[4.0], [0.0]])), decay=0.5).table.round(3).tolist()
    [[2.0], [0.0]]
    """
    counts, sums = (decay * old + (1 - decay) * new for old, new in zip(state[1:], stats, strict=True))
    total = jnp.sum(counts)
    smooth = (counts + epsilon) / (total + len(counts) * epsilon) * total
    return Codebook(sums / jnp.where(smooth > 0, smooth, 1)[:, None], counts, sums)


def gumbel_vector_quantize_spec(
    d_in: int, n: int, d_out: int, *, init: Init = lecun_normal, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares Gumbel vector quantization (`gumbel_vector_quantize`).

    Returns:
      {"logits": {"w": (d_in, n), "b": (n,)}, "codebook": {"w": (n, d_out)}}

    >>> gumbel_vector_quantize_spec(3, 8, 5)["codebook"]["w"].shape
    (8, 5)
    """
    one = lambda a, b, bias, *axes: linear_spec(a, b, axes=axes, bias=bias, init=init, dtype=dtype)
    return {"logits": one(d_in, n, True, "embed", "codes"), "codebook": one(n, d_out, False, "codes", "hidden")}


def gumbel_vector_quantize(
    p: Params, x: jax.Array, *, temperature: float, key: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Gumbel vector quantization: a row of a codebook, drawn by logits of x, with the gradient of the soft draw.

    See "vq-wav2vec: Self-Supervised Learning of Discrete Speech Representations", Baevski, Schneider and Auli, 2020.

    Args:
      p: as declared by `gumbel_vector_quantize_spec`.
      x: (..., d_in), floating point.
      temperature: of the soft draw, greater than 0; it may be traced, such as a schedule's.
      key: for the draw, or None for the likeliest row.

    Returns:
      The rows (..., d_out), in x's dtype, and their ids (...), int32.

    Raises:
      TypeError, ValueError: x does not fit p, or as `gumbel_softmax`.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), gumbel_vector_quantize_spec(3, 8, 5))
    >>> values, ids = gumbel_vector_quantize(p, jnp.ones((7, 3)), temperature=1.0, key=None)
    >>> values.shape, ids.shape
    ((7, 5), (7,))
    """
    checks.params("gumbel_vector_quantize", p, "logits", "codebook")
    soft = gumbel_softmax(linear(p["logits"], x), temperature=temperature, key=key)
    ids = jnp.argmax(soft, -1).astype(jnp.int32)
    hard = jax.nn.one_hot(ids, soft.shape[-1], dtype=soft.dtype)
    return linear(p["codebook"], hard + (soft - jax.lax.stop_gradient(soft))), ids
