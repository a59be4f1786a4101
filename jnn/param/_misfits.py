"""Where one tree does not fit another: what every refusal of a tree says, path by path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jnn.param._dtypes import dtype_kind


def misfits(found: Mapping[str, Any], wanted: Mapping[str, Any], *, cast: bool = False) -> list[str]:
    """Misfits of two trees: a line for each path that is missing or extra, or has another shape or dtype; sorted.

    Args:
      found, wanted: leaves by path, as `flatten` gives them: arrays, numbers, or what says the shapes and dtypes.
      cast: whether another dtype will do if it can be cast to the one that is wanted. What is no number (a text, a
        key, another library's dtype) is cast to none.

    Raises:
      TypeError: a tree is nested: `flatten` makes leaves by path of it.

    >>> for line in misfits({"w": np.ones(3), "n": np.ones(2, int)}, {"w": np.ones((3, 1)), "n": np.ones(2)}):
    ...     print(line)
    misshapen: w is float64[3], expected float64[3,1]
    mistyped: n is int64[2], expected float64[2]
    >>> misfits({"n": np.ones(2, int), "old": np.ones(1)}, {"n": np.ones(2), "b": np.ones(3)}, cast=True)
    ['extra: old float64[1]', 'missing: b float64[3]']
    """
    for where, tree in (("found", found), ("wanted", wanted)):
        for path, x in tree.items():
            if isinstance(x, Mapping):
                found_type = type(x).__name__
                raise TypeError(
                    f"misfits: expected leaves by path, found a {found_type} at {path!r} of {where}. Give "
                    "jnn.flatten(tree)."
                )
    lines = [f"missing: {path} {array_type(wanted[path])}" for path in wanted if path not in found]
    lines += [f"extra: {path} {array_type(found[path])}" for path in found if path not in wanted]
    both = (path for path in wanted if path in found)
    return sorted(lines + [line for path in both if (line := misfit(path, found[path], wanted[path], cast=cast))])


def misfit(path: str, found: Any, wanted: Any, *, cast: bool = False) -> str:
    """The line on one path that both trees have; "" where the one fits the other."""
    x, like = _abstract(found), _abstract(wanted)
    if tuple(x.shape) != tuple(like.shape):
        kind = "misshapen"
    elif (given := _dtype(x)) != (asked := _dtype(like)) and not (cast and _castable(given, asked)):
        kind = "mistyped"
    else:
        return ""
    return f"{kind}: {path} is {array_type(found)}, expected {array_type(wanted)}"


def array_type(x: Any) -> str:
    """The dtype and shape of an array, as JAX prints types.

    >>> array_type(np.ones((8, 128), np.float32))
    'float32[8,128]'
    """
    like = _abstract(x)
    if getattr(like.dtype, "kind", "") in "OSU" and not hasattr(x, "dtype"):
        return f"a {type(x).__name__}"
    return f"{_dtype(like)}[{','.join(map(str, like.shape))}]"


def _dtype(x: Any) -> Any:
    """The dtype as an object of it; of declarations it may be a class or a name, such as `jnp.float32`."""
    return jnp.dtype(x.dtype) if isinstance(x.dtype, type | str) else x.dtype


def _castable(given: Any, asked: Any) -> bool:
    """Whether numbers of one dtype have a place in another; of what holds no numbers nothing has."""
    try:
        return dtype_kind(given) <= dtype_kind(asked)
    except TypeError:  # keys, texts, dtypes of other libraries
        return False


def _abstract(x: Any) -> Any:
    return x if hasattr(x, "shape") and hasattr(x, "dtype") else np.asarray(x)
