"""Which weights a map over a model is about, and their arrays."""

from __future__ import annotations

from collections.abc import Mapping

import jax

from jnn import checks
from jnn.param import Param, Params, Spec, Where, flatten, matching, weights


def chosen_weights(name: str, spec: Spec, where: Where) -> dict[str, Param]:
    """Weights of a spec whose paths fit; raises ValueError, as `name`, where there are none."""
    return matching(name, weights(name, spec), where, "weight")


def at(path: str) -> str:
    """Where in a tree something was found; nothing of a tree that is one leaf."""
    return f" at {path!r}" if path else ""


def arrays_at(name: str, declared: Mapping[str, Param], p: Params) -> dict[str, jax.Array]:
    """The arrays that are declared, by path; raises ValueError, as `name`, where p lacks one or has another shape."""
    have = flatten(p)
    if lacking := [path for path in declared if path not in have]:
        raise ValueError(
            f"{name}: expected the arrays that spec declares, found none at {lacking[0]!r}. Give what "
            "jnn.init(spec, key) made, and leave out by where=[...] what has become integers."
        )
    for path, param in declared.items():
        checks.declared(name, path, have[path], param)
    return {path: have[path] for path in declared}
