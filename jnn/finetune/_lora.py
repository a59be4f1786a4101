"""LoRA and DoRA: products of low rank beside the weights of a model that stay as they are.

    lora_spec(spec, rank) -> spec                of the parts alone; dora_spec with magnitudes
    with_lora(p, lora) -> p                      beside each other, as `linear` reads them
    merge_lora(p, lora) -> p                     added up: a model as it was, with other weights

Laws: before a step the model is what it was, bit for bit; merged it is what it was unmerged, to rounding. p may be
quantized (QLoRA), stacked, and spread over devices: the parts have the names of its axes, and "rank".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from jax.typing import DTypeLike

from jnn import checks
from jnn.finetune._parts import beside
from jnn.initializers import Init, VarianceScaling, ones, zeros
from jnn.layers import merge_weight
from jnn.param import Param, Params, Spec, Where, linear_maps, matching, nested

QUERIES_AND_VALUES = ("*attention/[qv]/w", "*cross/[qv]/w")
# what the authors' code and PEFT draw: torch's kaiming_uniform_ with a = sqrt(5)
SMALL_UNIFORM = VarianceScaling(1 / 3, "fan_in", "uniform")


def lora_spec(
    spec: Spec,
    rank: int,
    *,
    where: Where = QUERIES_AND_VALUES,
    init: Init = SMALL_UNIFORM,
    dtype: DTypeLike | None = None,
) -> Spec:
    """LoRA (low-rank adaptation), declared: for each weight two narrow maps, whose product is added to it.

    See "LoRA: Low-Rank Adaptation of Large Language Models", Hu et al., 2021.

    Args:
      spec: the model's.
      rank: of the products.
      where: patterns of the weights' paths; by default queries' and values' of attention, as in the paper, and of
        cross-attention. "*" is for all linear maps; those that a layer multiplies by itself (experts, convolutions)
        take none.
      init: initial values of "down", the paper's A; "up", its B, is zero.
      dtype: of all; each weight's own by default.

    Returns:
      At each weight's map {"lora": {"down": (*d_in, rank), "up": (rank, *d_out)}}, stacked as it is.

    Raises:
      ValueError: no linear map fits, or the rank is not 1 or more.

    >>> from jnn.layers import attention_spec
    >>> spec = lora_spec({"attention": attention_spec(64, 4)}, 8)["attention"]
    >>> sorted(spec), spec["q"]["lora"]["up"].shape
    (['q', 'v'], (8, 4, 16))
    """
    checks.count("lora_spec", "rank", rank)
    maps = linear_maps("lora_spec", spec)
    if where == QUERIES_AND_VALUES:  # of those alone that there are
        where = [pattern for pattern in where if any(fnmatchcase(path, pattern) for path in maps)] or where
    maps = matching("lora_spec", maps, where, "linear map")
    return nested({path.removesuffix("w") + "lora": _parts(maps[path], rank, init, dtype) for path in maps})


def dora_spec(
    spec: Spec,
    rank: int,
    *,
    where: Where = QUERIES_AND_VALUES,
    init: Init = SMALL_UNIFORM,
    dtype: DTypeLike | None = None,
) -> Spec:
    """DoRA (weight-decomposed low-rank adaptation), declared: LoRA, and the magnitude of each output's weights.

    See "DoRA: Weight-Decomposed Low-Rank Adaptation", Liu et al., 2024. A magnitude is a multiple of the norm that
    the weights have without their LoRA, so that it begins at 1, whatever they are; PEFT's is that times this norm.

    Args, Raises: as `lora_spec`.

    Returns:
      As `lora_spec`, with "magnitude": (*d_out).
    """
    lora = lora_spec(spec, rank, where=where, init=init, dtype=dtype)

    def magnitude(parts: dict[str, Param]) -> dict[str, Param]:
        up = parts["up"]
        shape, axes = ((*of[: up.stacked], *of[up.stacked + 1 :]) for of in (up.shape, up.axes))
        return parts | {"magnitude": Param(shape, ones, axes, up.dtype, stacked=up.stacked)}

    return _each_lora(magnitude, lora)


def with_lora(p: Params, lora: Params, *, alpha: float | None = None) -> Params:
    """Parameters with their LoRA (or DoRA) beside them: `linear` adds `alpha / rank` times its product.

    Args:
      p: a model's parameters, floats or quantized, such as `ctx.given`.
      lora: as `lora_spec` declares: what is trained.
      alpha: a number to be divided by the rank; the rank by default. PEFT's `lora_alpha`.

    Returns:
      A tree of both, for the model's own function.

    Raises:
      TypeError: either is no tree of parameters, or alpha is no number.
      ValueError: lora is for weights that p has not, or has LoRA beside already; alpha is not over 0.

    >>> import jax.numpy as jnp
    >>> lora = {"lora": {"down": jnp.ones((2, 1)), "up": jnp.ones((1, 3))}}
    >>> with_lora({"w": jnp.ones((2, 3))}, lora, alpha=2)["lora"]["up"].tolist()
    [[2.0, 2.0, 2.0]]
    """
    return _put("with_lora", p, lora, alpha)


def merge_lora(p: Params, lora: Params, *, alpha: float | None = None) -> Params:
    """Merged LoRA (or DoRA): parameters as the model declares them, with the products added to the weights.

    Args, Raises: as `with_lora`.

    Returns:
      A tree like p, in its dtypes. Quantized weights that have a LoRA are floats: rounded again, they would lose it.

    >>> import jax.numpy as jnp
    >>> lora = {"lora": {"down": jnp.ones((2, 1)), "up": jnp.ones((1, 3))}}
    >>> merge_lora({"w": jnp.ones((2, 3))}, lora)["w"].tolist()
    [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]
    """
    checks.drawn("merge_lora", (p, lora))
    return _merged(_put("merge_lora", p, lora, alpha))


def _parts(w: Param, rank: int, init: Init, dtype: DTypeLike | None) -> dict[str, Param]:
    stack, ins, split = w.shape[: w.stacked], w.stacked + len(w.fan_in), w.axes[: w.stacked]
    declare = lambda shape, axes, init, **fans: Param(
        (*stack, *shape), init, (*split, *axes), w.dtype if dtype is None else dtype, stacked=w.stacked, **fans
    )
    down = declare((*w.shape[w.stacked : ins], rank), (*w.fan_in, "rank"), init, fan_in=w.fan_in, fan_out=("rank",))
    up = declare((rank, *w.shape[ins:]), ("rank", *w.fan_out), zeros, fan_in=("rank",), fan_out=w.fan_out)
    return {"down": down, "up": up}


def _put(name: str, p: Params, lora: Params, alpha: Any) -> Params:
    return beside(name, p, lora if alpha is None else _each_lora(partial(_scaled, name, alpha), lora))


def _scaled(name: str, alpha: Any, parts: Any) -> Any:
    """A LoRA whose product is `alpha / rank` times what it was."""
    checks.params(name, parts, "down", "up", may=("magnitude",), what="lora")
    down, up = parts["down"], parts["up"]
    factor = checks.number(name, "alpha", alpha, lambda x: x > 0, "over 0", like=up) / down.shape[-1]
    return parts | {"up": up * factor}


def _each_lora(change: Callable[[Any], Any], tree: Any) -> Any:
    """A tree of parts with each of its LoRAs changed."""
    own = lambda name, part: change(part) if name == "lora" else _each_lora(change, part)
    return {name: own(name, part) for name, part in tree.items()} if isinstance(tree, Mapping) else tree


def _merged(p: Any) -> Any:
    if isinstance(p, list | tuple):
        return type(p)(map(_merged, p))
    if not isinstance(p, Mapping):
        return p
    if "lora" in p:
        return {name: merge_weight(p) if name == "w" else part for name, part in p.items() if name != "lora"}
    return {name: _merged(part) for name, part in p.items()}
