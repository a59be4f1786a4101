"""The state dict of a torch module as the parameters of a spec."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import numpy as np
from jax.sharding import Mesh

from jnn.interop.torch._axes import as_declared
from jnn.interop.torch._names import Names, Source, arrays_of, matches, source
from jnn.interop.torch._taken import Taken, stand_in, to_numpy
from jnn.param import Param, Params, Rules, Spec, abstract, array_type, check_spec, flatten, load, map_paths

IGNORED = ("*num_batches_tracked",)  # how often batch norm was called


def load_state_dict(
    spec: Spec,
    state_dict: Mapping[str, Any],
    names: Names | None = None,
    *,
    ignore: Collection[str] = (),
    mesh: Mesh | None = None,
    rules: Rules | None = None,
) -> Params:
    """PyTorch weights: params of a spec from a state dict, transposed as the declaration says.

    A weight (out, in) of torch's linear maps becomes (in, out), (out, in, y, x) of its convolutions (y, x, in, out),
    and axes that the spec splits, such as (embed, heads, head), are split; embeddings and vectors stay as they are, but
    for axes of size 1 in front. The state dict does not tell a transposed convolution, (in, out, y, x) in torch, from
    another one: say it by a pair.

    One array of the spec at a time is on the host, and a stack is filled layer by layer: of what is read when it is
    used, as `jnn.data.read_safetensors` and `read_gguf` give it, there is never all in memory.

    Args:
      spec: what declares the parameters; for running statistics beside them see `load_with_stats`.
      state_dict: name -> tensor or array, such as `module.state_dict()` or what a safetensors file holds; of any
        mapping each array is asked for when its turn comes.
      names: path pattern -> name pattern, of which the first that matches a path counts. `*` stands for any text, the
        same on both sides but for a leaf at its end: w, scale and table are torch's weight, b is bias, mean and var
        are running_mean and running_var. `{i}` in a name stands for the layers 0, 1, ..., and `{i+1}` for 1, 2, ...,
        which are stacked along the leading axis, `{j}` for what is stacked within them, such as experts;
        "in_proj_weight[0/3]" is the first third of an array's rows, "qkv_proj.weight[0:4/6]" their first four sixths,
        and "c_attn.weight[:, 0/3]" the first third of its columns. A pair (name, "i o y x -> y x i o") says how the
        axes lie where the rule above does not, and (name, "o (c y x) -> y x c o") behind torch's `Flatten`; "o () -l
        -> l o" leaves out an axis of size 1, and reads l from its end. A path that no pattern matches has the name of
        torch's modules: "fc/w" is "fc.weight".
      ignore: patterns of names that nothing is made of.
      mesh, rules: where the arrays are placed, as of `jnn.load`.

    Returns:
      Arrays of the dtypes that the spec declares.

    Raises:
      TypeError: a module in place of its state dict, or spec is none, such as params.
      ValueError: lists the paths without an array and the arrays, or parts of them, without a path, patterns that match
        nothing, shapes that do not fit, and values that the declared dtype cannot hold.

    >>> from jnn.layers import linear_spec
    >>> weights = {"head.weight": np.arange(6.0).reshape(3, 2), "head.bias": np.zeros(3)}
    >>> load_state_dict({"out": linear_spec(2, 3)}, weights, {"out/*": "head.*"})["out"]["w"]
    Array([[0., 2., 4.],
           [1., 3., 5.]], dtype=float32)
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"load_state_dict: expected a state dict, found {type(state_dict).__name__}: .state_dict()?")
    check_spec("load_state_dict", spec)
    names, problems = names or {}, []
    read: dict[str, set[tuple[int, int]]] = {}  # which parts of what was read

    def take(path: str, param: Param) -> Any:
        where = source(path, names)
        sizes, found = arrays_of(where, state_dict)
        if absent := [name for name in found if name not in state_dict]:
            problems.append(f"missing: {absent[0]} of the stack {where.name}, for {path}")
            return None
        if not found:
            counted = ", counted from there without a gap" if where.stacked else ""
            problems.append(f"missing: {path} {array_type(abstract(param))}, looked for as {where.name}{counted}")
            return None
        for name in found:
            read.setdefault(name, set()).update((part, where.parts) for part in range(where.first, where.last))
        try:
            return _taken(path, param, where, sizes, found, state_dict)
        except ValueError as error:
            problems.append(f"misshapen: {path} from {found[0]} {_type(state_dict[found[0]])}: {error}")
            return None

    taken = map_paths(take, spec)
    problems += [
        f"no path is like {pattern!r}" for pattern in names if not any(matches(pattern, p) for p in flatten(spec))
    ]
    problems += _left_over(state_dict, read, (*IGNORED, *ignore))
    if problems:
        raise ValueError(
            "load_state_dict: the state dict does not fit the spec; say it by names={path: name}, ignore=[name]:\n  "
            + "\n  ".join(problems)
        )
    return load(spec, taken, mesh=mesh, rules=rules)


def _taken(
    path: str, param: Param, where: Source, sizes: tuple[int, ...], found: list[str], state_dict: Mapping[str, Any]
) -> Taken:
    """The array of a path, of which nothing is read yet.

    Raises:
      ValueError: what there is does not fit.
    """

    def layer(name: str, read: Callable[[Any], np.ndarray]) -> np.ndarray:
        return as_declared(path, param, _part(where, read(state_dict[name])), where.axes, where.stacked)

    likes = [layer(name, stand_in) for name in found]
    for name, like in zip(found, likes, strict=True):
        if like.shape != likes[0].shape:
            raise ValueError(f"{name} is {array_type(like)}, the first of its stack {array_type(likes[0])}")
    layers = [partial(layer, name, to_numpy) for name in found]
    return Taken(sizes, likes[0].shape, np.result_type(*likes), layers)


def _part(where: Source, x: np.ndarray) -> np.ndarray:
    """The part of an array that is meant.

    Raises:
      ValueError: it has no such parts.
    """
    if where.parts == 1:
        return x
    axis = 1 if where.columns else 0
    if x.ndim <= axis or x.shape[axis] % where.parts:
        raise ValueError(f"its {'columns' if axis else 'rows'} cannot be cut into {where.parts} parts")
    size = x.shape[axis] // where.parts
    part = slice(where.first * size, where.last * size)
    return x[:, part] if where.columns else x[part]


def _left_over(
    state_dict: Mapping[str, Any], read: Mapping[str, set[tuple[int, int]]], ignore: Collection[str]
) -> list[str]:
    """A line for each array, or part of one, that no path has read."""
    lines = []
    for name in state_dict:
        if name in read:
            parts = math.lcm(*(n for _, n in read[name]))  # thirds and sixths are told in sixths
            done = {i for part, n in read[name] for i in range(part * parts // n, (part + 1) * parts // n)}
            lines += [f"left over: {name}[{i}/{parts}]" for i in range(parts) if i not in done]
        elif not any(fnmatchcase(name, pattern) for pattern in ignore):
            lines.append(f"left over: {name} {_type(state_dict[name])}")
    return lines


def _type(x: Any) -> str:
    return array_type(stand_in(x))
