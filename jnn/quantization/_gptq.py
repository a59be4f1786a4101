"""GPTQ: weights rounded one input after another, each error made good by the inputs that are still to come.

    gptq(p, spec, observe(f, p, spec, x), bits=4, group=32) -> p

Axis letters: i inputs, j outputs, of one linear map. Law: on the inputs that were observed its outputs are nearer than
those of the nearest integers (of random problems, tested; it is a heuristic).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers import block_sizes, integer_weight, weight_scales
from jnn.param import Param, Params, Spec, Where, linear_maps, matching
from jnn.precision import wide
from jnn.quantization._observe import Sums, statistics_of
from jnn.quantization._weights import change_weights

BLOCK = 128  # inputs, whose errors are made good for all later ones at once


class _How(NamedTuple):
    bits: int
    group: int | None
    act_order: bool
    damping: float


def gptq(
    p: Params,
    spec: Spec,
    sums: Sums,
    *,
    bits: int = 4,
    group: int | None = None,
    act_order: bool = False,
    damping: float = 0.01,
    where: Where = "*",
) -> Params:
    """GPTQ: quantized parameters whose linear maps' outputs, of what was observed, are near those of the floats.

    See "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", Frantar et al., 2022.

    Args:
      p, spec: a model's parameters, and what declares them.
      sums: of `observe`, with "gram".
      bits, group: as of `quantize`. A group's scale is of what its weights have become when it is their turn.
      act_order: whether the inputs that are largest come first; a group's scale is then of what its weights were.
      damping: of the mean of the Gram matrix's diagonal, so much is added to it.
      where: patterns of paths, "*" for all linear maps. Tables and convolutions are `quantize`d.

    Returns:
      A tree like p, as of `quantize`: what `quantize_spec` declares.

    Raises:
      ValueError: as of `quantize`; a map was not observed, what it met is no number, or there is too little damping.

    >>> from jnn.layers import linear, linear_spec
    >>> from jnn.quantization import observe, quantize
    >>> spec, keys = linear_spec(64, 8, bias=False), jax.random.split(jax.random.key(0), 3)
    >>> p = {"w": jax.random.normal(keys[0], (64, 8))}
    >>> x = jax.random.normal(keys[1], (500, 4)) @ jax.random.normal(keys[2], (4, 64))
    >>> error = lambda q: jnp.square(linear(q, x) - linear(p, x)).mean()
    >>> bool(error(gptq(p, spec, observe(linear, p, spec, x))) < 0.1 * error(quantize(p, spec, bits=4)))
    True
    """
    checks.number("gptq", "damping", damping, lambda x: x >= 0, "of 0 or more", like=jnp.zeros(()))
    how = _How(bits, group, act_order, damping)

    def one(path: str, param: Param, w: jax.Array) -> Any:
        own, in_axes = statistics_of("gptq", sums, path, "gram"), len(param.fan_in)
        block_sizes("gptq", w.shape[param.stacked :], range(in_axes), bits, group)
        q = _gptq(w, own["gram"], in_axes, how, param.stacked)
        if not isinstance(q["scales"], jax.core.Tracer) and not bool(jnp.isfinite(q["scales"]).all()):
            raise ValueError(
                f"gptq: the Gram matrix of {path} is singular with damping={damping}, or its weights are no numbers. "
                "Give more damping, such as 0.01, or more inputs to observe."
            )
        return q

    return change_weights("gptq", p, spec, matching("gptq", linear_maps("gptq", spec), where, "linear map"), one)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _gptq(w: jax.Array, gram: jax.Array, in_axes: int, how: _How, stacked: int) -> dict[str, jax.Array]:
    """One weight (*d_in, *d_out) quantized, given its inputs' Gram matrix (i, i); or one after another of a stack."""
    if stacked:
        return jax.lax.map(lambda one: _gptq(*one, in_axes, how, stacked - 1), (w, gram))
    matrix = wide(w).reshape(math.prod(w.shape[:in_axes]), -1)
    gram = gram.astype(matrix.dtype)
    axis = tuple(range(in_axes))
    scales = weight_scales(w, axis=axis, bits=how.bits, group=how.group)
    per_group = len(matrix) * matrix.shape[1] // scales.size
    flat = scales.reshape(-1, matrix.shape[1])
    order = jnp.argsort(-jnp.diag(gram)) if how.act_order else jnp.arange(len(matrix))
    root = _inverse_root(gram[order][:, order], how.damping)
    if how.act_order or len(flat) == 1:
        given = jnp.repeat(flat, per_group, axis=0)[order]
        rounded, _ = _columns(matrix[order], root, given, how.bits, BLOCK)
        rounded = rounded[jnp.argsort(order)]
    else:
        rounded, flat = _columns(matrix, root, None, how.bits, per_group)
    flat = jnp.where(jnp.isfinite(root).all(), flat, jnp.nan)  # integers of nothing have no scale
    return integer_weight(rounded.reshape(w.shape), flat.reshape(scales.shape).astype(w.dtype), how.bits)


def _inverse_root(gram: jax.Array, damping: float) -> jax.Array:
    """U, upper triangular, whose transpose times itself is the inverse of the damped Gram matrix."""
    n, diagonal = len(gram), jnp.diag(gram)
    damped = gram + jnp.diag(jnp.where(diagonal == 0, 1.0, damping * diagonal.mean()))
    flipped = jnp.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]  # damped = flipped @ flipped.T, upper triangular
    return jax.scipy.linalg.solve_triangular(flipped, jnp.eye(n, dtype=gram.dtype), lower=False)


def _columns(
    w: jax.Array, root: jax.Array, given: jax.Array | None, bits: int, block: int
) -> tuple[jax.Array, jax.Array]:
    """Weights (i, j) rounded input by input, and the scales of blocks; by given scales (i, j), or each block's own."""
    n, m = w.shape
    more = -n % block
    w, root = jnp.pad(w, ((0, more), (0, 0))), jnp.pad(root, (0, more)) + jnp.diag(jnp.arange(n + more) >= n)
    steps = jnp.ones((0, m), w.dtype) if given is None else jnp.pad(given, ((0, more), (0, 0)), constant_values=1.0)

    def of_block(w: jax.Array, start: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        cut = lambda x: jax.lax.dynamic_slice_in_dim(x, start, block)
        own, rows = cut(w), cut(root)
        scale = weight_scales(own, bits=bits) if given is None else cut(steps)
        within = jax.lax.dynamic_slice_in_dim(rows, start, block, axis=1)
        rounded, errors = _one_after_another(own, within, jnp.broadcast_to(scale, own.shape), bits)
        return w - rows.T @ errors, (rounded, scale[:1])

    _, (rounded, scales) = jax.lax.scan(of_block, w, jnp.arange(0, n + more, block))
    return rounded.reshape(-1, m)[:n], scales.reshape(-1, m)


def _one_after_another(w: jax.Array, root: jax.Array, scales: jax.Array, bits: int) -> tuple[jax.Array, jax.Array]:
    """A block's weights (i, j), rounded, and the errors that later blocks make good."""
    most = 2 ** (bits - 1) - 1

    def step(w: jax.Array, i: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        rounded = jnp.round(w[i] / scales[i]).clip(-most, most) * scales[i]
        error = (w[i] - rounded) / root[i, i]
        return w - root[i][:, None] * error[None], (rounded, error)

    return jax.lax.scan(step, w, jnp.arange(len(w)))[1]
