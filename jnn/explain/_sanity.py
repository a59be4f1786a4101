"""Sanity checks of explanations: what stays the same when a network's weights are drawn anew explains no network.

Laws: with nothing drawn anew the correlation is 1; parts that were drawn are those of `jnn.init(spec, key)`, the others
are as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from jnn import checks
from jnn.metrics import spearman_correlation
from jnn.param import Params, Spec, flatten, init, map_paths, misfits


def randomized_weights(p: Params, spec: Spec, key: jax.Array, parts: Sequence[str]) -> dict[str, Params]:
    """Cascading randomization: parameters whose parts are drawn anew one after another, each beside those before it.

    See "Sanity Checks for Saliency Maps", Adebayo et al., 2018.

    Args:
      p: trained, as spec declares.
      spec: by which parts are drawn.
      key: of the draws.
      parts: paths, such as "head/fc1", from the output down to the input.

    Returns:
      For each part, parameters in which it and all before it are drawn anew.

    Raises:
      ValueError: p is not as spec declares, or there is no such part.

    >>> from jnn.models import mlp_spec
    >>> spec = mlp_spec((2, 3, 1))
    >>> cascade = randomized_weights(init(spec, jax.random.key(0)), spec, jax.random.key(1), ["fc1", "fc0"])
    >>> {name: sorted(p) for name, p in cascade.items()}
    {'fc1': ['fc0', 'fc1'], 'fc0': ['fc0', 'fc1']}
    """
    if wrong := misfits(flatten(p), flatten(spec)):
        raise ValueError(f"randomized_weights: the parameters do not fit the spec: {'; '.join(wrong)}.")
    drawn, found = init(spec, key), {}
    for part in parts:
        inside = {path for path in flatten(spec) if f"{path}/".startswith(f"{part}/")}
        if not inside:
            raise ValueError(f"randomized_weights: no part {part!r}; the spec has {', '.join(flatten(spec))}.")
        p = map_paths(lambda path, old, new, inside=inside: new if path in inside else old, p, drawn)
        found[part] = p
    return found


def sanity_check(
    explain: Callable[[Params], jax.Array], p: Params, randomized: Mapping[str, Params]
) -> dict[str, float]:
    """Sanity check of an explanation: the rank correlation of its maps with those of randomized weights, on the host.

    See "Sanity Checks for Saliency Maps", Adebayo et al., 2018: near 1, the maps do not depend on what was learned.

    Args:
      explain: of parameters to the maps (n, ...) of n examples, floating point; their `abs`, where signs do not matter.
      p: trained.
      randomized: as `randomized_weights` gives them.

    Returns:
      For each of them the mean of Spearman's correlation over the examples whose maps vary, NaN where none does.

    Raises:
      TypeError: maps are not floating point.
      ValueError: there are no maps (n, ...).

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[1.0, 2.0, 3.0]])
    >>> sanity_check(lambda p: p["w"] * x, {"w": 2.0}, {"out": {"w": -1.0}})
    {'out': -1.0}
    """
    learned = explain(p)
    checks.floats("sanity_check", learned, ndim=2)
    rows = np.asarray(learned)

    def alike(maps: jax.Array) -> float:
        found = [spearman_correlation(*two) for two in zip(np.asarray(maps), rows, strict=True)]
        varied = [correlation for correlation in found if not np.isnan(correlation)]
        return float(np.mean(varied)) if varied else float("nan")

    return {name: alike(explain(drawn)) for name, drawn in randomized.items()}
