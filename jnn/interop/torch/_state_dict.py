"""The parameters of a spec as the state dict of a torch module."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from jnn.interop.torch._axes import as_in_torch
from jnn.interop.torch._names import Names, Source, numbered, source
from jnn.interop.torch._taken import Taken, stand_in
from jnn.param import Param, Params, Spec, check_spec, flatten

Part = tuple[Source, np.ndarray, Callable[[], np.ndarray]]  # which, one like it, and what makes it


def state_dict(spec: Spec, params: Params, names: Names | None = None) -> dict[str, Any]:
    """PyTorch state dict of params: what `load_state_dict` reads, by the same table of names.

    A folder of it and of config.json is what Hugging Face's `from_pretrained` loads:

        write_safetensors(folder / "model.safetensors", state_dict(spec, params, names))
        (folder / "config.json").write_text(json.dumps(config))

    Args:
      spec: what declares the parameters.
      params: arrays.
      names: as in `load_state_dict`. What is no linear map and no table, such as a bias, has one axis.

    Returns:
      name -> what NumPy makes an array of, of params' dtypes, each layer of a stack by itself.
      It is read from params when NumPy asks, each time, so that one array at a time is on the host.

    Raises:
      TypeError: spec is none, such as params.
      ValueError: lists the paths that params lack or have beside, names that two paths share, parts that no path has,
        and what the declaration does not tell the axes of.

    >>> from jnn.layers import linear_spec
    >>> p = {"out": {"w": np.arange(6.0).reshape(2, 3), "b": np.zeros(3)}}
    >>> np.asarray(state_dict({"out": linear_spec(2, 3)}, p, {"out/*": "head.*"})["head.weight"]).tolist()
    [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    """
    check_spec("state_dict", spec)
    declared, arrays, names, problems = flatten(spec), flatten(params), names or {}, []
    problems += [f"missing: {path}" for path in declared if path not in arrays]
    problems += [f"left over: {path}" for path in arrays if path not in declared]
    parts: dict[str, list[Part]] = {}
    for path in declared.keys() & arrays.keys() if problems else declared:
        try:
            for name, part in _layers(path, declared[path], arrays[path], source(path, names)):
                parts.setdefault(name, []).append(part)
        except ValueError as error:
            problems.append(f"misshapen: {path}: {error}")
    problems += [problem for name, those in parts.items() for problem in _misfits(name, those)]
    if problems:
        raise ValueError("state_dict: the params do not make a state dict:\n  " + "\n  ".join(problems))
    return {name: _joined(sorted(those, key=lambda part: part[0].first)) for name, those in parts.items()}


def _layers(path: str, param: Param, x: Any, where: Source) -> list[tuple[str, Part]]:
    """Every layer of a path: its name, and the array, of which nothing is read yet."""
    if x.shape != param.shape:
        raise ValueError(f"expected {param.shape}, found {tuple(x.shape)}")
    stacked = where.stacked
    if stacked > param.stacked:
        raise ValueError(f"{where.name} is of a stack, which the spec does not declare")
    lie = partial(as_in_torch, path, param, axes=where.axes, stacked=stacked)
    like = lie(np.broadcast_to(np.zeros((), stand_in(x).dtype), param.shape[stacked:]))
    read = lambda at: lie(np.asarray(x[at]) if at else np.asarray(x))
    every = itertools.product(*map(range, param.shape[:stacked]))
    return [(numbered(where, *at), (where, like, partial(read, at))) for at in every]


def _misfits(name: str, those: list[Part]) -> list[str]:
    """A line where the parts of an array are not each of them there once."""
    kinds = {(where.parts, where.columns) for where, _, _ in those}
    found = sorted(i for where, _, _ in those for i in range(where.first, where.last))
    if len(kinds) > 1:
        return [f"{name} is cut in two ways"]
    ((count, _),) = kinds
    if found == [*range(count)]:
        return []
    return [f"{name}: expected each of its {count} parts once, found {found}" if count > 1 else f"{name}: of two paths"]


def _joined(those: list[Part]) -> Taken:
    """One array, of its parts."""
    (where, like, make), *others = those
    if not others:
        return Taken((), like.shape, like.dtype, [make])
    axis = 1 if where.columns else 0
    together = lambda arrays: np.concatenate(arrays, axis)
    whole = together([like for _, like, _ in those])
    return Taken((), whole.shape, whole.dtype, [lambda: together([make() for _, _, make in those])])
