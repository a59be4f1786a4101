"""A model's weights as integers with scales.

    quantize(p, spec, bits=8) -> p               what `linear`, `conv`, `embed` and `unembed` read as they are
    quantize_spec(spec, bits=8) -> spec          what declares them: for `jnn.load`, layouts, counts
    dequantize(p) -> p

Law: no weight is further than half its scale from what it was, and `quantize` gives what `quantize_spec` declares.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers import block_sizes, dequantize_weight, integer_weight, weight_scales
from jnn.param import Param, Params, Spec, Where, flatten, map_paths
from jnn.quantization._weights import Scales, change_weights, check_scales, chosen_weights, named, summed_axes


def quantize(
    p: Params,
    spec: Spec,
    *,
    bits: int = 8,
    group: int | None = None,
    where: Where = "*",
    scales: Scales | None = None,
) -> Params:
    """Quantized parameters: weights of linear maps, convolutions, tables in 8 or 4 bits, each output's with a scale.

    The integers have no gradient: give them as `given`, and train a LoRA beside them (QLoRA: "QLoRA: Efficient
    Finetuning of Quantized LLMs", Dettmers et al., 2023), or nothing at all.

    Args:
      p: a model's parameters.
      spec: what declares them, and so what each weight sums over.
      bits: 8 or 4.
      group: how many inputs share a scale, at most; all of an output's by default. 4 bits want groups, of 32 say.
      where: patterns of paths, "*" for all linear maps, convolutions and tables of a vocabulary. Leave out what a layer
        multiplies by itself, such as a router's: it refuses integers.
      scales: by path, those that were learned (`step_sizes`), whose shapes say the groups; of others, by which the
        greatest is 127, or 7.

    Returns:
      A tree like p, with {"int8" or "int4", "scales"} for each weight that fits, as of `quantize_weight`.

    Raises:
      TypeError: spec is none, such as params.
      ValueError: no weight fits, has sizes that cannot be cut so, or is quantized already; or scales are of none.

    >>> from jnn.layers import linear_spec
    >>> spec = linear_spec(4, 2)
    >>> p = quantize({"w": jnp.ones((4, 2)), "b": jnp.zeros(2)}, spec)
    >>> sorted(p), p["w"]["int8"].dtype, p["w"]["scales"].shape
    (['b', 'w'], dtype('int8'), (1, 2))
    """
    _check_bits("quantize", bits)
    given = check_scales("quantize", spec, scales)

    def integers(path: str, param: Param, w: jax.Array) -> Any:
        own = given[path] if path in given else _scales(w, summed_axes(path, param), bits, group)
        return _integers(w, own, bits)

    return change_weights("quantize", p, spec, chosen_weights("quantize", spec, where), integers)


def quantize_spec(spec: Spec, *, bits: int = 8, group: int | None = None, where: Where = "*") -> Spec:
    """Declares quantized parameters.

    Args, Raises: as `quantize`.

    Returns:
      The spec of what `quantize` gives. It draws nothing: `quantize(jnn.init(spec, key), spec)`.

    >>> from jnn.layers import linear_spec
    >>> quantize_spec(linear_spec(64, 2), bits=4, group=32)["w"]["scales"].shape
    (2, 2)
    """
    _check_bits("quantize_spec", bits)
    chosen = chosen_weights("quantize_spec", spec, where)

    def one(path: str, param: Param) -> Any:
        return named(path, lambda: _declared(param, summed_axes(path, param), bits, group)) if path in chosen else param

    return map_paths(one, spec)


def dequantize(p: Params) -> Params:
    """Dequantized parameters: a tree with floats for all that is quantized.

    Args:
      p: parameters, or any tree of them in dicts, lists and tuples.

    Returns:
      A tree like p; each weight in the dtype that it had.

    Raises:
      TypeError: p is a spec, or no tree of arrays.

    >>> q = {"int8": jnp.array([[1, -127]], jnp.int8), "scales": jnp.array([[0.5, 2.0]])}
    >>> dequantize({"w": q})["w"].tolist()
    [[0.5, -254.0]]
    """
    for path, x in flatten(p).items():
        checks.array("dequantize", x, path or "p")
    return _floats(p)


def _floats(p: Any) -> Any:
    if checks.is_quantized(p):
        return dequantize_weight(p)
    if isinstance(p, list | tuple):
        return type(p)(map(_floats, p))
    return {name: _floats(part) for name, part in p.items()} if isinstance(p, Mapping) else p


def _check_bits(name: str, bits: int) -> None:
    if bits not in (8, 4):
        raise ValueError(f"{name}: expected 8 or 4 bits, found {bits!r}.")


_integers = jax.jit(integer_weight, static_argnums=2)


@partial(jax.jit, static_argnums=(1, 2, 3))
def _scales(w: jax.Array, axis: tuple[int, ...], bits: int, group: int | None) -> jax.Array:
    return weight_scales(w, axis=axis, bits=bits, group=group)


def _declared(param: Param, axis: Sequence[int], bits: int, group: int | None) -> dict[str, Param]:
    blocks = block_sizes("quantize_spec", param.shape, axis, bits, group)
    shape = tuple(size // block for size, block in zip(param.shape, blocks, strict=True))
    # a device has a part of the scales where it has whole groups of weights: those of one alone have other names
    names = tuple(f"{name}_groups" if i in axis else name for i, name in enumerate(param.axes))
    scale = Param(shape, _none, names, param.dtype, stacked=param.stacked)
    if bits == 8:
        return {"int8": dataclasses.replace(param, init=_none, dtype=jnp.int8), "scales": scale}
    packed = (*param.shape[:-1], param.shape[-1] // 2)
    return {"int4": dataclasses.replace(param, shape=packed, init=_none, dtype=jnp.int8), "scales": scale}


def _none(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
    """The initializer of what is made of other numbers."""
    raise ValueError(
        f"quantize_spec: integers and scales {tuple(shape)} are not drawn. Type quantize(jnn.init(spec, key), spec)."
    )
