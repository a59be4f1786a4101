"""What is trained, put beside what it was made for: a tree map, inside of the loss.

    with_parts(p, parts) -> p

Law: nothing of p is changed, and every part is where a function reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jnn import checks
from jnn.param import Params

PARTS = ("lora", "prefix", "adapter1", "adapter_cross", "adapter2")  # what functions read iff it is there


def with_parts(p: Params, parts: Params) -> Params:
    """Parameters with parts beside them: those of `lora_spec`, `adapters_spec`, `prefixes_spec`.

    Args:
      p: a model's parameters, floats or quantized.
      parts: a tree of the same paths, each ending in "lora", "prefix" or an adapter.

    Returns:
      A new tree with both; no array is copied.

    Raises:
      TypeError: either is no tree of parameters.
      ValueError: a part is for what p has not, or is there already.

    >>> with_parts({"q": {"w": 1}}, {"q": {"lora": {"down": 2, "up": 3}}})
    {'q': {'w': 1, 'lora': {'down': 2, 'up': 3}}}
    """
    return beside("with_parts", p, parts)


def beside(name: str, p: Any, parts: Any) -> Any:
    """`with_parts`, by the name of who is asked for it."""
    for tree, what, kinds in ((p, "a model's parameters", Mapping | list | tuple), (parts, "parts of it", Mapping)):
        if not isinstance(tree, kinds):
            raise TypeError(f"{name}: expected {what}, a tree of dicts, found {checks.describe(tree)}.")
    return _beside(name, p, parts, "")


def _beside(asked: str, p: Any, parts: Any, path: str) -> Any:
    if isinstance(p, list | tuple):
        if nowhere := sorted(set(parts) - {*map(str, range(len(p)))}):
            raise _no_place(asked, f"{path}{nowhere[0]}", map(str, range(len(p))))
        return type(p)(
            _beside(asked, one, parts[str(i)], f"{path}{i}/") if str(i) in parts else one for i, one in enumerate(p)
        )
    both = dict(p)
    for name, part in parts.items():
        if name in PARTS:
            if name in p:
                raise ValueError(f"{asked}: {path}{name} is there already. Merge it first, or leave it out.")
            both[name] = part
        elif name in p and isinstance(p[name], Mapping | list | tuple) and isinstance(part, Mapping):
            both[name] = _beside(asked, p[name], part, f"{path}{name}/")
        else:
            raise _no_place(asked, f"{path}{name}", map(str, p))
    return both


def _no_place(asked: str, path: str, there: Iterable[str]) -> ValueError:
    listed = ", ".join(there) or "none"
    return ValueError(f"{asked}: found a part for {path}, which is no place in p. There are: {listed}.")
