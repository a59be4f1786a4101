"""A spec of arrays that somebody else declared: of Flax, of torch, of plain JAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import jax.numpy as jnp

from jnn.param._declare import Initializer, NamedInitializer, Param, Spec, existing
from jnn.param._paths import flatten, map_paths

Names = str | Sequence[str] | None
Naming = Mapping[str, Names] | Callable[[str, tuple[int, ...]], Names]


def spec_of(arrays: Any, *, axes: Naming | None = None, init: Initializer | NamedInitializer = existing) -> Spec:
    """Spec of existing arrays, so that layouts, masks, `load` and `summary` work for them too.

    Args:
      arrays: any tree of arrays, or of their shapes: a Flax module's params, the state of an NNX module, a torch
        state dict.
      axes: the names of each array's axes, by patterns of paths, the first that fits, or by a function
        `(path, shape) -> names`. An arrow says that an array is a linear map, for fans and `weight_mask`:
        {"*kernel": "embed -> hidden", "*bias": "hidden"}; of one whose outputs come first, "hidden <- embed". What is
        not named has axes "axis0", "axis1", ...: no rule of a layout is for these, so it is whole on every device.
      init: initial values, of all arrays; without, `init` of this spec is an error.

    Returns:
      The same tree, of `Param`s.

    Raises:
      TypeError: a leaf is no array.
      ValueError: names are not one per axis, or a pattern fits no path.

    >>> params = {"Dense_0": {"kernel": jnp.ones((3, 4)), "bias": jnp.ones(4)}}
    >>> spec = spec_of(params, axes={"*kernel": "embed -> hidden"})["Dense_0"]
    >>> spec["kernel"].axes, spec["kernel"].fan_out, spec["bias"].axes
    (('embed', 'hidden'), ('hidden',), ('axis0',))
    """
    naming = axes if callable(axes) else _by_pattern(axes or {}, list(flatten(arrays)))

    def declare(path: str, x: Any) -> Param:
        if not hasattr(x, "shape") or not hasattr(x, "dtype"):
            raise TypeError(f"spec_of: expected arrays, found {x!r} at {path!r}.")
        shape, dtype = tuple(x.shape), jnp.dtype(str(x.dtype).removeprefix("torch."))
        names = naming(path, shape)
        if names is None:
            names = [f"axis{i}" for i in range(len(shape))]
        names = names if isinstance(names, str) else " ".join(names)
        arrow = "<-" if "<-" in names else "->"
        before, after = (tuple(side.split()) for side in (*names.split(arrow), "")[:2])
        if len(before + after) != len(shape):
            raise ValueError(f"spec_of: {path} {shape} needs {len(shape)} names of axes, found {names!r}.")
        fans = (before, after) if arrow == "->" else (after, before)
        return Param(shape, init, before + after, dtype, *(fans if arrow in names else ()))

    return map_paths(declare, arrays)


def _by_pattern(patterns: Mapping[str, Names], paths: Sequence[str]) -> Callable[[str, tuple[int, ...]], Names]:
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in paths):
            raise ValueError(f"spec_of: no path fits {pattern!r}. There are: {', '.join(paths)}.")
    return lambda path, shape: next((names for pattern, names in patterns.items() if fnmatchcase(path, pattern)), None)
