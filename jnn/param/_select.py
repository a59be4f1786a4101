"""Which parameters of a spec a map is about, by patterns of paths, and trees of what is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from jnn.param._declare import Param, Spec, check_spec
from jnn.param._paths import flatten

Where = str | Sequence[str]
Found = TypeVar("Found")


def linear_maps(name: str, spec: Spec) -> dict[str, Param]:
    """The weights of a spec's linear maps, by path; raises TypeError where it is none, such as params."""
    check_spec(name, spec)
    return {path: param for path, param in flatten(spec).items() if is_linear_map(path, param)}


def is_linear_map(path: str, param: Any) -> bool:
    """Whether a parameter is the weight of a linear map: its axes are those that it sums over, and those it makes."""
    own = param.axes[param.stacked :]
    return path.split("/")[-1] == "w" and bool(param.fan_in) and own == param.fan_in + param.fan_out


def matching(name: str, kind: Mapping[str, Found], where: Where, what: str) -> dict[str, Found]:
    """What of this kind, by path, matches a pattern.

    Raises:
      ValueError: there are none; names those that there are.

    >>> matching("count", {"fc/w": 1, "fc/b": 2}, "*w", "weight")
    {'fc/w': 1}
    """
    patterns = (where,) if isinstance(where, str) else where
    found = {path: param for path, param in kind.items() if any(fnmatchcase(path, p) for p in patterns)}
    if not found:
        listed = ", ".join([*kind][:12] + ["..."] * (len(kind) > 12)) or "none"
        raise ValueError(f"{name}: no {what} fits where={where!r}. There are: {listed}.")
    return found


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of dicts of what lies at each path.

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
