"""What is trained, put beside what it was made for: a tree map, inside of the loss.

    with_parts(p, parts) -> p

Law: nothing of p is changed, and every part is where a function reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
      ValueError: a part is for what p has not, or is there already.

    >>> with_parts({"q": {"w": 1}}, {"q": {"lora": {"down": 2, "up": 3}}})
    {'q': {'w': 1, 'lora': {'down': 2, 'up': 3}}}
    """
    return _beside(p, parts, "")


def _beside(p: Any, parts: Any, path: str) -> Any:
    if isinstance(p, list | tuple):
        return type(p)(
            _beside(one, parts[str(i)], f"{path}{i}/") if str(i) in parts else one for i, one in enumerate(p)
        )
    both = dict(p)
    for name, part in parts.items():
        if name in PARTS:
            if name in p:
                raise ValueError(f"with_parts: {path}{name} is there already. Merge it first, or leave it out.")
            both[name] = part
        elif name in p and isinstance(p[name], Mapping | list | tuple) and isinstance(part, Mapping):
            both[name] = _beside(p[name], part, f"{path}{name}/")
        else:
            there = ", ".join(map(str, p))
            raise ValueError(f"with_parts: found a part for {path}{name}, which is no place in p. There are: {there}.")
    return both
