"""Linear maps of low rank: two narrow maps in the place of each weight, read by `jnn.layers.linear` as it is.

low_rank(p, spec, rank=16) -> p, spec        by singular values
low_rank(p, spec, energy=0.9) -> p, spec     the rank of each weight by what it is to keep
low_rank_spec(spec, 16) -> spec              declared alone: to be loaded, or trained from the beginning
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from jnn import checks
from jnn.compression._chosen import arrays_at
from jnn.initializers import lecun_normal
from jnn.layers import factor_weight
from jnn.param import Param, Params, Spec, Where, linear_maps, map_paths, matching
from jnn.precision import wide


def low_rank(
    p: Params,
    spec: Spec,
    *,
    where: Where = "*",
    rank: int | None = None,
    energy: float | None = None,
    second_moments: Mapping[str, jax.Array] | None = None,
) -> tuple[Params, Spec]:
    """Low-rank factorization: each linear map's weight as the product of two narrow ones, by its singular values.

    See "Exploiting Linear Structure Within Convolutional Networks for Efficient Evaluation", Denton et al., 2014. A
    weight that two maps would not make smaller stays as it is.

    Args:
      p: a model's parameters.
      spec: what declares them.
      where: patterns of the paths of linear maps' weights; convolutions have none.
      rank: of every product; or
      energy: the share of the squares of singular values that is kept, from 0 to 1: of stacked layers by the one that
        needs most.
      second_moments: (d_in, d_in) of the inputs of a weight, by path, each layer's of stacked ones: as in
        `factor_weight`, or the "gram" of `jnn.quantization.observe`.

    Returns:
      Parameters with {"down": (*d_in, rank), "up": (rank, *d_out)} in the place of a weight, and their spec.

    Raises:
      TypeError: spec is none, such as params; energy is no number, or second moments are not by path.
      ValueError: no linear map fits, p lacks one or has another shape, or a second moment is of none; not one of rank
        and energy is given, rank is not 1 or more, or energy not over 0 and at most 1.

    >>> from jnn import init
    >>> from jnn.models import mlp, mlp_spec
    >>> spec = mlp_spec((32, 16, 4))
    >>> p, smaller = low_rank(init(spec, jax.random.key(0)), spec, rank=2)
    >>> p["fc0"]["w"]["down"].shape, smaller["fc0"]["w"]["up"].shape, mlp(p, np.ones((1, 32), "f"), key=None).shape
    ((32, 2), (2, 16), (1, 4))
    """
    if (rank is None) == (energy is None):
        raise ValueError(f"low_rank: expected one of rank and energy, found rank={rank} and energy={energy}.")
    if rank is not None:
        checks.count("low_rank", "rank", rank)
    moments = _checked_moments(spec, second_moments)
    chosen = _chosen("low_rank", spec, where)
    have = arrays_at("low_rank", chosen, p)
    if energy is not None:
        ranks = {path: _rank(have[path], param, energy) for path, param in chosen.items()}
    else:
        ranks = dict.fromkeys(chosen, rank or 0)
    ranks = {path: r for path, r in ranks.items() if _smaller(chosen[path], r)}

    def one(path: str, param: Param, w: jax.Array) -> Any:
        return _factored(w, param, ranks[path], moments.get(path)) if path in ranks else w

    return map_paths(one, spec, p), _declared_all(spec, ranks)


def low_rank_spec(spec: Spec, rank: int, *, where: Where = "*") -> Spec:
    """Declares linear maps of low rank: two narrow maps in the place of each weight that they make smaller.

    Args, Raises: as `low_rank`.

    Returns:
      The spec of what `low_rank(..., rank=rank)` gives.

    >>> from jnn.layers import linear_spec
    >>> low_rank_spec(linear_spec(64, (4, 16), axes=("embed", "heads", "head")), 8)["w"]["up"].shape
    (8, 4, 16)
    """
    checks.count("low_rank_spec", "rank", rank)
    chosen = _chosen("low_rank_spec", spec, where)
    return _declared_all(spec, {path: rank for path, param in chosen.items() if _smaller(param, rank)})


def _chosen(name: str, spec: Spec, where: Where) -> dict[str, Param]:
    return matching(name, linear_maps(name, spec), where, "linear map")


def _checked_moments(spec: Spec, second_moments: Mapping[str, jax.Array] | None) -> Mapping[str, jax.Array]:
    """Second moments by path; raises unless each is of a linear map."""
    moments, maps = {} if second_moments is None else second_moments, linear_maps("low_rank", spec)
    checks.by_path("low_rank", "second moments", moments)
    if strange := [path for path in moments if path not in maps]:
        raise ValueError(
            f"low_rank: found a second moment of {strange[0]!r}, which is no linear map. There are: {', '.join(maps)}."
        )
    return moments


def _smaller(param: Param, rank: int) -> bool:
    ins, outs = param.fans
    return rank * (ins + outs) < ins * outs


def _rank(w: jax.Array, param: Param, energy: float) -> int:
    """The least rank that keeps so much of the squares, in every layer of a stack."""
    checks.number("low_rank", "energy", energy, lambda x: 0 < x <= 1, "over 0 and at most 1", like=w)
    squares = np.square(np.linalg.svd(np.asarray(wide(w)).reshape(-1, *param.fans), compute_uv=False))
    kept = np.cumsum(squares, -1) / np.maximum(squares.sum(-1, keepdims=True), np.finfo(squares.dtype).tiny)
    return int(1 + (kept < energy * (1 - 1e-6)).sum(-1).max().clip(max=squares.shape[-1] - 1))


def _factored(w: jax.Array, param: Param, rank: int, moment: jax.Array | None) -> dict[str, jax.Array]:
    of = partial(factor_weight, rank=rank, in_axes=len(param.fan_in))
    own = lambda w, moment: of(w, second_moment=moment)
    for _ in range(param.stacked):
        own = jax.vmap(own)
    return own(w, moment)


def _declared_all(spec: Spec, ranks: Mapping[str, int]) -> Spec:
    return map_paths(lambda path, param: _declared(param, ranks[path]) if path in ranks else param, spec)


def _declared(w: Param, rank: int) -> dict[str, Param]:
    """Two maps in the place of w, of which the first is drawn as w is."""
    stack, ins = w.shape[: w.stacked], w.stacked + len(w.fan_in)
    split = w.axes[: w.stacked]
    declare = partial(dataclasses.replace, w)
    down = declare(shape=(*w.shape[:ins], rank), axes=(*w.axes[:ins], "rank"), fan_out=("rank",))
    up_shape, up_axes = (*stack, rank, *w.shape[ins:]), (*split, "rank", *w.fan_out)
    up = declare(shape=up_shape, axes=up_axes, fan_in=("rank",), init=lecun_normal)
    return {"down": down, "up": up}
