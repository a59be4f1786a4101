"""Linear maps, from any number of axes to any number of axes.

Laws: `linear(p, x)` acts on the last axes of x and leaves the leading ones free; a bias is added
iff `"b" in p`, a product of low rank iff `"lora" in p`; w may be integers with scales,
or the product of two narrow maps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import backend, checks
from jnn.initializers import Init, lecun_normal, zeros
from jnn.input_sums import observed
from jnn.layers._fake_quantize import fake_quantize
from jnn.layers._int8_product import int8_product
from jnn.layers._quantized_weight import Weight, dequantize_weight, quantized_product, weight_dtype, weight_shape
from jnn.param import Param, Params, Spec
from jnn.precision import add_bias, narrow, over_last_axes, wide
from jnn.vectors import length


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


def linear(p: Params, x: jax.Array, *, in_axes: int = 1) -> jax.Array:
    """Linear map, or dense layer: `x @ w + b`, contracting the last `in_axes` axes of x with the first of w.

    With a "lora" in p, `x @ w + (x @ down) @ up + b` ("LoRA: Low-Rank Adaptation of Large Language Models", Hu et al.,
    2021); with a "magnitude" in that, `magnitude * |w| / |w + down @ up|` times the products, norms being those of
    each output's weights, through which no gradient goes ("DoRA: Weight-Decomposed Low-Rank Adaptation", Liu et al.,
    2024). `jnn.finetune` declares them.

    Args:
      p: {"w": (*d_in, *d_out), "b": (*d_out,), "lora": {"down": (*d_in, rank), "up": (rank, *d_out), "magnitude":
        (*d_out,)}}; all but w, and the magnitude, are optional. w may be of `quantize_weight`, `factor_weight`, or of
        `jnn.quantization`.
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
    checks.params("linear", p, "w", may=("b",), adapted=True)
    x = fitting("linear", weight_shape(p["w"]), x, in_axes)
    y = product(x, p["w"], in_axes)
    if "lora" in p:
        checks.params("linear", p["lora"], "down", "up", may=("magnitude",), what="params['lora']")
        y = y + product(product(x, p["lora"]["down"], in_axes), p["lora"]["up"], 1)
        if "magnitude" in p["lora"]:
            stretch = p["lora"]["magnitude"] * _stretch(p)
            y = (wide(y) * over_last_axes(stretch, wide(y))).astype(y.dtype)
    return add_bias(y, p["b"]) if "b" in p else y


def product(x: jax.Array, w: Weight, in_axes: int) -> jax.Array:
    """x (..., *d_in) times w (*d_in, *d_out), in x's dtype."""
    if checks.is_quantized(w):
        return _product_in_parts(x, w, in_axes)
    if checks.is_factored(w):
        return product(product(x, w["down"], in_axes), w["up"], 1)
    w = w.astype(x.dtype)
    if backend.choose("dense") != "flat":
        return jnp.tensordot(x, w, axes=in_axes)
    d_in, d_out = w.shape[:in_axes], w.shape[in_axes:]
    y = x.reshape(-1, math.prod(d_in)) @ w.reshape(math.prod(d_in), -1)
    return y.reshape(*x.shape[: x.ndim - in_axes], *d_out)


def _product_in_parts(x: jax.Array, w: Weight, in_axes: int) -> jax.Array:
    """`product` with a weight of integers, or whose inputs are scaled (AWQ), observed, or rounded in training."""
    if "input_factors" in w:
        x = (wide(x) * over_last_axes(w["input_factors"], wide(x))).astype(x.dtype)
    if "sums" in w:
        x = observed(x, w["sums"], in_axes)
    if "float" in w and "input_scale" in w:
        x = fake_quantize(x, w["input_scale"])
    w = {name: part for name, part in w.items() if name != "input_factors"}  # they are in x now
    if "float" in w:
        return product(x, w["float"], in_axes)
    return int8_product(w, x, in_axes) if "w8a8" in w else quantized_product(w, x, in_axes)


def merge_weight(p: Params) -> jax.Array:
    """Merged weight of a linear map: dequantized, and with its LoRA or DoRA added; w where it is neither.

    Args:
      p: as of `linear`, of one map or of stacked ones.

    Returns:
      w, in its dtype, the sums in float32 at least.

    Raises:
      ValueError: it is more than a weight: its inputs are in 8 bits, or observed.

    >>> lora = {"down": jnp.ones((2, 1)), "up": jnp.array([[0.5, 0.0]])}
    >>> merge_weight({"w": jnp.eye(2), "lora": lora}).tolist()
    [[1.5, 0.0], [0.5, 1.0]]
    """
    if checks.is_quantized(p["w"]) and (more := {"float", "w8a8"} & p["w"].keys()):
        raise ValueError(
            f"merge_weight: expected a weight, found {min(more)!r}, whose inputs are in 8 bits or observed: linear "
            "maps alone read that. Leave it out by where=..., or give jnn.quantization.dequantize(p)."
        )
    if "lora" not in p:
        return dequantize_weight(p["w"])
    if checks.is_factored(p["w"]):
        raise ValueError(
            "merge_weight: found a LoRA beside a weight of low rank, and their sum is none. Leave it beside, or "
            "multiply the weight out first: dequantize_weight(w)."
        )
    lora, (_, merged) = p["lora"], _matrices(p)
    if "magnitude" in lora:
        merged = merged * (lora["magnitude"] * _stretch(p)).reshape(*merged.shape[:-2], 1, -1)
    return merged.reshape(weight_shape(p["w"])).astype(weight_dtype(p["w"]))


def _matrices(p: Params) -> tuple[jax.Array, jax.Array]:
    """Matrices (..., in, out) of a map's weight, without and with its LoRA; in front what is stacked."""
    w, down, up = wide(dequantize_weight(p["w"])), wide(p["lora"]["down"]), wide(p["lora"]["up"])
    stacked, rank = down.ndim + up.ndim - 2 - w.ndim, down.shape[-1]
    d_in = math.prod(down.shape[stacked:-1])
    flat = w.reshape(*w.shape[:stacked], d_in, -1)
    leading = flat.shape[:-2]
    return flat, flat + down.reshape(*leading, d_in, rank) @ up.reshape(*leading, rank, -1)


def _stretch(p: Params) -> jax.Array:
    """How much longer the weights of each output are, (*d_out), without their LoRA than with it: data to gradients."""
    before, after = (length(jnp.swapaxes(m, -1, -2)) for m in jax.lax.stop_gradient(_matrices(p)))
    ratio = jnp.where(after > 0, before / jnp.where(after > 0, after, 1), 1)
    return ratio.reshape(p["lora"]["magnitude"].shape)


def fitting(name: str, shape: tuple[int, ...], x: jax.Array, in_axes: int) -> jax.Array:
    """x, in the dtype in force, for `name` to multiply with a weight of this shape; raises unless they fit."""
    checks.array(name, x)
    x = narrow(x)
    checks.floats(name, x, ndim=in_axes)
    if (axes := _fitting_axes(shape, x.shape)) not in (None, in_axes):
        raise ValueError(f"{name}: w {shape} and x {checks.describe(x)} fit with in_axes={axes}, found {in_axes}.")
    checks.trailing(name, x, shape[:in_axes])
    return x


def _fitting_axes(w: tuple[int, ...], x: tuple[int, ...]) -> int | None:
    """How many of w's first axes are x's last, where they are only for one number; else None."""
    fits = [n for n in range(1, min(len(w), len(x)) + 1) if w[:n] == x[len(x) - n :]]
    return fits[0] if len(fits) == 1 else None
