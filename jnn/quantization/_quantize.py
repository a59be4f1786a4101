"""A model's weights as integers with scales.

    quantize(p, spec, bits=8) -> p               what `linear`, `conv`, `embed` and `unembed` read as they are
    quantize_spec(spec, bits=8) -> spec          what declares them: for `jnn.load`, layouts, counts
    dequantize(p) -> p

Law: no weight is further than half its scale from what it was, and `quantize` gives what `quantize_spec` declares.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers import block_sizes, dequantize_weight, quantize_weight
from jnn.param import Param, Params, Spec, Where, check_spec, flatten, is_linear_map, map_paths, matching


def quantize(p: Params, spec: Spec, *, bits: int = 8, group: int | None = None, where: Where = "*") -> Params:
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

    Returns:
      A tree like p, with {"int8" or "int4", "scales"} for each weight that fits, as of `quantize_weight`.

    Raises:
      TypeError: spec is none, such as params.
      ValueError: no weight fits, has sizes that cannot be cut so, or is quantized already.

    >>> from jnn.layers import linear_spec
    >>> spec = linear_spec(4, 2)
    >>> p = quantize({"w": jnp.ones((4, 2)), "b": jnp.zeros(2)}, spec)
    >>> sorted(p), p["w"]["int8"].dtype, p["w"]["scales"].shape
    (['b', 'w'], dtype('int8'), (1, 2))
    """
    chosen = _chosen("quantize", spec, where, bits)
    have = flatten(p)
    if lacking := [path for path in flatten(spec) if path not in have and f"{path}/scales" not in have]:
        raise ValueError(
            f"quantize: expected the parameters that spec declares, found none at {lacking[0]!r}. Give what "
            "jnn.init(spec, key) or jnn.load(spec, arrays) made."
        )

    def one(path: str, param: Param, x: Any) -> Any:
        if path not in chosen:
            return x
        if checks.is_quantized(x):
            raise ValueError(
                f"quantize: {path} is quantized already. Give the floats that it was made of: dequantize(p)."
            )
        return _named(path, lambda: _quantized(x, _axes(path, param), bits, group, param.stacked))

    return map_paths(one, spec, p)


def quantize_spec(spec: Spec, *, bits: int = 8, group: int | None = None, where: Where = "*") -> Spec:
    """Declares quantized parameters.

    Args, Raises: as `quantize`.

    Returns:
      The spec of what `quantize` gives. It draws nothing: `quantize(jnn.init(spec, key), spec)`.

    >>> from jnn.layers import linear_spec
    >>> quantize_spec(linear_spec(64, 2), bits=4, group=32)["w"]["scales"].shape
    (2, 2)
    """
    chosen = _chosen("quantize_spec", spec, where, bits)

    def one(path: str, param: Param) -> Any:
        return _named(path, lambda: _declared(param, _axes(path, param), bits, group)) if path in chosen else param

    return map_paths(one, spec)


def dequantize(p: Params) -> Params:
    """Dequantized parameters: a tree with floats for all that is quantized.

    >>> q = {"int8": jnp.array([[1, -127]], jnp.int8), "scales": jnp.array([[0.5, 2.0]])}
    >>> dequantize({"w": q})["w"].tolist()
    [[0.5, -254.0]]
    """
    if checks.is_quantized(p):
        return dequantize_weight(p)
    if isinstance(p, list | tuple):
        return type(p)(map(dequantize, p))
    return {name: dequantize(part) for name, part in p.items()} if isinstance(p, Mapping) else p


def _chosen(name: str, spec: Spec, where: Where, bits: int) -> dict[str, Param]:
    if bits not in (8, 4):
        raise ValueError(f"{name}: expected 8 or 4 bits, found {bits!r}.")
    check_spec(name, spec)
    kinds = (is_linear_map, _is_convolution, _is_vocabulary)
    read = {path: param for path, param in flatten(spec).items() if any(kind(path, param) for kind in kinds)}
    return matching(name, read, where, "linear map, convolution or table of a vocabulary")


def _is_convolution(path: str, param: Param) -> bool:
    own = param.axes[param.stacked :]
    return path.split("/")[-1] == "w" and own == (*param.receptive, *param.fan_in, *param.fan_out)


def _is_vocabulary(path: str, param: Param) -> bool:
    return path.split("/")[-1] == "table" and param.axes[param.stacked :][:1] == ("vocab",)


def _axes(path: str, param: Param) -> tuple[int, ...]:
    """What is summed over, of one layer; rows of a table are outputs of the read-out that is tied to it."""
    return (1,) if _is_vocabulary(path, param) else tuple(range(len(param.receptive + param.fan_in)))


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _quantized(w: jax.Array, axis: tuple[int, ...], bits: int, group: int | None, stacked: int) -> dict[str, jax.Array]:
    """A weight quantized, or layer by layer a stack of them."""
    own = partial(quantize_weight, axis=axis, bits=bits, group=group)
    for _ in range(stacked):
        own = jax.vmap(own)
    return own(w)


def _declared(param: Param, axis: Sequence[int], bits: int, group: int | None) -> dict[str, Param]:
    own = param.shape[param.stacked :]
    blocks = (1,) * param.stacked + block_sizes("quantize_spec", own, axis, bits, group)
    shape = tuple(size // block for size, block in zip(param.shape, blocks, strict=True))
    # a device has a part of the scales where it has whole groups of weights: those of one alone have other names
    shared = lambda i: param.stacked <= i < param.stacked + len(own) and i - param.stacked in axis
    names = tuple(f"{name}_groups" if shared(i) else name for i, name in enumerate(param.axes))
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


def _named(path: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except ValueError as error:
        raise ValueError(f"{error} That is {path}: leave it out by where=[...].") from None
