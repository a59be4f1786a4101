"""Which parameters of a spec a map is about, by patterns of paths, and trees of what is made of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from jnn.param._declare import Param, Spec, check_spec
from jnn.param._paths import flatten

Where = str | Sequence[str]
Found = TypeVar("Found")


def linear_maps(name: str, spec: Spec) -> dict[str, Param]:
    """Linear maps of a spec: their weights by path; raises TypeError, as `name`, where it is none, such as params.

    >>> from jnn.layers import conv_spec, linear_spec
    >>> list(linear_maps("lora_spec", {"conv": conv_spec(3, 2, (1,)), "fc": linear_spec(3, 2)}))
    ['fc/w']
    """
    check_spec(name, spec)
    return {path: param for path, param in flatten(spec).items() if is_linear_map(path, param)}


def weights(name: str, spec: Spec) -> dict[str, Param]:
    """Weights of a spec by path: linear maps, convolutions, experts; no biases, scales or tables.

    >>> from jnn.layers import conv_spec, linear_spec
    >>> list(weights("prune", {"conv": conv_spec(3, 2, (1,)), "fc": linear_spec(3, 2)}))
    ['conv/w', 'fc/w']
    """
    check_spec(name, spec)
    return {path: param for path, param in flatten(spec).items() if param.fan_in}


def is_linear_map(path: str, param: Any) -> bool:
    """Whether a parameter is the weight of a linear map: its axes are those that it sums over, and those it makes."""
    own = param.axes[param.stacked :]
    return path.split("/")[-1] == "w" and bool(param.fan_in) and own == param.fan_in + param.fan_out


def matching(name: str, kind: Mapping[str, Found], where: Where, what: str) -> dict[str, Found]:
    """Matching parameters: what of this kind, by path, fits one of the patterns.

    Raises:
      TypeError: where is neither a pattern nor several.
      ValueError: a pattern fits none; names those that there are.

    >>> matching("lora_spec", {"q/w": 1, "o/w": 2}, "[qv]/w", "linear map")
    {'q/w': 1}
    >>> matching("lora_spec", {"q/w": 1, "o/w": 2}, ["q/w", "out/w"], "linear map")
    Traceback (most recent call last):
    ValueError: lora_spec: no linear map fits where='out/w'. There are: q/w, o/w.
    """
    patterns = (where,) if isinstance(where, str) else where
    if not isinstance(patterns, Collection) or not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(f"{name}: expected patterns of paths as where, such as '*/w' or a list, found {where!r}.")
    idle = [pattern for pattern in patterns if not any(fnmatchcase(path, pattern) for path in kind)]
    if idle or not patterns:
        listed = ", ".join([*kind][:12] + ["..."] * (len(kind) > 12)) or "none"
        raise ValueError(f"{name}: no {what} fits where={idle[0] if idle else where!r}. There are: {listed}.")
    return {path: param for path, param in kind.items() if any(fnmatchcase(path, p) for p in patterns)}


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tree of dicts, of what lies at each path.

    >>> nested({"a/b": 1, "a/c": 2})
    {'a': {'b': 1, 'c': 2}}
    """
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = leaf
    return tree
