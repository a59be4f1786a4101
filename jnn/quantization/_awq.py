"""AWQ: inputs that are large have their weights enlarged before rounding, and are made smaller by as much.

    awq(p, spec, observe(f, p, spec, x), bits=4, group=32) -> p

Law: on the inputs that were observed no map's squared error is more than that of the nearest integers, which is among
those that are tried.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers import block_sizes, dequantize_weight, quantize_weight
from jnn.param import Param, Params, Spec, Where, linear_maps, matching
from jnn.precision import wide
from jnn.quantization._observe import Sums, statistics_of
from jnn.quantization._weights import change_weights


class _How(NamedTuple):
    bits: int
    group: int | None
    tried: int


def awq(
    p: Params,
    spec: Spec,
    sums: Sums,
    *,
    bits: int = 4,
    group: int | None = None,
    tried: int = 20,
    where: Where = "*",
) -> Params:
    """AWQ (activation-aware weight quantization): quantized parameters, scaled by how large their inputs are.

    See "AWQ: Activation-aware Weight Quantization for On-Device LLM Compression and Acceleration", Lin et al., 2023.
    Each map has its own exponent, of the error of its own outputs; weights are not cut off. What inputs are multiplied
    with stays beside the weights, one product more: where maps share an input, as queries and keys do, their factors
    differ, and no layer before could do it for all.

    Args:
      p, spec: a model's parameters, and what declares them.
      sums: of `observe`, with "gram" and "magnitude".
      bits, group: as of `quantize`.
      tried: how many exponents, from 0 (the nearest integers) up to 1.
      where: patterns of paths, "*" for all linear maps. Tables and convolutions are `quantize`d.

    Returns:
      A tree like p, with {"int8" or "int4", "scales", "input_factors"} for each map, as `linear` reads it.

    Raises:
      ValueError: as of `gptq`.

    >>> from jnn.layers import linear, linear_spec
    >>> from jnn.quantization import observe
    >>> p, spec, x = {"w": jnp.array([[0.7, 7.0], [0.05, 0.5]])}, linear_spec(2, 2, bias=False), jnp.array([[0.1, 9.0]])
    >>> q = awq(p, spec, observe(linear, p, spec, x))
    >>> bool(abs(linear(q, x) - linear(p, x)).max() < 0.25)
    True
    """
    checks.count("awq", "tried", tried)
    maps = matching("awq", linear_maps("awq", spec), where, "linear map")

    def one(path: str, param: Param, w: jax.Array) -> Any:
        own, in_axes = statistics_of("awq", sums, path, "gram", "magnitude"), len(param.fan_in)
        block_sizes("awq", w.shape[param.stacked :], range(in_axes), bits, group)
        return _awq(w, own["gram"], own["magnitude"], in_axes, _How(bits, group, tried), param.stacked)

    return change_weights("awq", p, spec, maps, one)


@partial(jax.jit, static_argnums=(3, 4, 5))
def _awq(
    w: jax.Array, gram: jax.Array, magnitude: jax.Array, in_axes: int, how: _How, stacked: int
) -> dict[str, jax.Array]:
    """One weight (*d_in, *d_out) by the exponent whose outputs err least; or one after another of a stack."""
    if stacked:
        return jax.lax.map(lambda one: _awq(*one, in_axes, how, stacked - 1), (w, gram, magnitude))
    d_in = w.shape[:in_axes]
    usual = jnp.maximum(magnitude / jnp.maximum(magnitude.mean(), jnp.finfo(jnp.float32).tiny), 1e-4)

    def quantized(exponent: jax.Array) -> dict[str, jax.Array]:
        larger = usual**exponent
        larger = (larger / jnp.sqrt(larger.max() * larger.min())).reshape(d_in)
        spread = larger.reshape(*d_in, *(1,) * (w.ndim - in_axes))
        q = quantize_weight(
            (wide(w) * spread).astype(w.dtype), axis=tuple(range(in_axes)), bits=how.bits, group=how.group
        )
        return q | {"input_factors": (1 / larger).astype(w.dtype)}

    def error(exponent: jax.Array) -> jax.Array:
        wrong = (dequantize_weight(quantized(exponent), jnp.float32) - wide(w)).reshape(math.prod(d_in), -1)
        return jnp.sum(wrong * (gram @ wrong))

    exponents = jnp.arange(how.tried) / how.tried
    return quantized(exponents[jnp.argmin(jax.lax.map(error, exponents))])
