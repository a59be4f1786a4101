"""Parameters and running statistics at once: torch keeps both in one module, a spec declares two trees."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from jax.sharding import Mesh

from jnn.interop.torch._load import load_state_dict
from jnn.interop.torch._names import Names
from jnn.param import Params, Rules, Spec, flatten, map_paths


def load_with_stats(
    spec: Spec,
    stats: Spec,
    state_dict: Mapping[str, Any],
    names: Names | None = None,
    *,
    ignore: Collection[str] = (),
    mesh: Mesh | None = None,
    rules: Rules | None = None,
) -> tuple[Params, Params]:
    """PyTorch weights and running statistics: params of a spec, and what its norms have seen, from one state dict.

    One table of names is for both: the statistics of a norm have its path.

    Args:
      spec: what declares the parameters.
      stats: what declares the statistics, such as `jnn.models.batch_stats_spec(spec)`.
      state_dict, names, ignore, mesh, rules: as in `load_state_dict`.

    Returns:
      (params, stats), arrays of the dtypes that are declared.

    Raises:
      TypeError, ValueError: as `load_state_dict`; or both declare the same path.

    >>> import numpy as np
    >>> from jnn.layers import batch_norm_spec, batch_norm_stats_spec
    >>> of_torch = {"weight": np.ones(2), "bias": np.zeros(2), "running_mean": np.ones(2), "running_var": np.ones(2)}
    >>> norm, seen = batch_norm_spec(2), batch_norm_stats_spec(2)
    >>> params, stats = load_with_stats({"norm": norm}, {"norm": seen}, of_torch, {"norm/*": "*"})
    >>> stats["norm"]["mean"].tolist()
    [1.0, 1.0]
    """
    if twice := flatten(spec).keys() & flatten(stats).keys():
        raise ValueError(f"load_with_stats: spec and stats both declare {', '.join(sorted(twice))}.")
    both = _together(spec, stats)
    found = flatten(load_state_dict(both, state_dict, names, ignore=ignore, mesh=mesh, rules=rules))
    params, seen = (map_paths(lambda path, _: found[path], tree) for tree in (spec, stats))
    return params, seen


def _together(a: Spec, b: Spec) -> Spec:
    """One tree of two."""
    return {**a, **b, **{name: _together(a[name], b[name]) for name in a.keys() & b.keys()}}
