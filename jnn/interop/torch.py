"""PyTorch: a state dict as the parameters of a spec, by a table of names.

    load_state_dict(spec, state_dict, names, ignore) -> params

Laws: nothing is guessed from sizes: the declaration says which axes a weight sums over and makes, so that a square
matrix is transposed like any other; every array of the spec comes from one of the state dict, and what is left over is
named.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from jnn.param import Param, Params, Spec, abstract, array_type, load, map_paths

# torch's words for what a leaf of ours is called
LEAVES = {"w": "weight", "b": "bias", "scale": "weight", "bias": "bias", "table": "weight", "slope": "weight"}
LEAVES |= {"mean": "running_mean", "var": "running_var"}
IGNORED = ("*num_batches_tracked",)  # how often batch norm was called

Names = Mapping[str, str | tuple[str, str]]


def load_state_dict(
    spec: Spec, state_dict: Mapping[str, Any], names: Names | None = None, *, ignore: Collection[str] = ()
) -> Params:
    """PyTorch weights: params of a spec from a state dict, transposed as the declaration says.

    A weight (out, in) of torch's linear maps becomes (in, out), (out, in, y, x) of its convolutions (y, x, in, out),
    and axes that the spec splits, such as (embed, heads, head), are split; embeddings and vectors stay as they are.

    Args:
      spec: what declares the parameters.
      state_dict: name -> tensor or array, such as `module.state_dict()` or what a safetensors file holds.
      names: path pattern -> name pattern, of which the first that matches a path counts. `*` stands for any text, the
        same on both sides but for the words of a leaf at the end; `{i}` in a name for 0, 1, ..., which are stacked
        along the leading axis, and `{i+1}` for 1, 2, ...; "in_proj_weight[0/3]" for the first third of an array. A
        pair (name, "i o y x -> y x i o") says how the axes lie where the rule above does not. A path that none matches
        has the name of torch's modules: "fc/w" is "fc.weight".
      ignore: patterns of names that nothing is made of.

    Returns:
      Arrays of the dtypes that the spec declares.

    Raises:
      ValueError: lists the paths without an array and the arrays without a path, shapes that do not fit, and values
        that the declared dtype cannot hold.

    >>> from jnn.layers import linear_spec
    >>> weights = {"head.weight": np.arange(6.0).reshape(3, 2), "head.bias": np.zeros(3)}
    >>> load_state_dict({"out": linear_spec(2, 3)}, weights, {"out/*": "head.*"})["out"]["w"]
    Array([[0., 2., 4.],
           [1., 3., 5.]], dtype=float32)
    """
    used: set[str] = set()
    problems: list[str] = []

    def take(path: str, param: Param) -> Any:
        name, axes = _source(path, names or {})
        name, which = _part(name)
        stacked = "{i" in name
        found = _numbered(name, state_dict) if stacked else [name]
        if not found or found[0] not in state_dict:
            problems.append(f"missing: {path} {array_type(abstract(param))}, looked for as {name}")
            return None
        used.update(found)
        arrays = [which(_numpy(state_dict[one])) for one in found]
        try:
            each = [_as_declared(path, param, x, axes, stacked) for x in arrays]
        except ValueError as error:
            problems.append(f"misshapen: {path} from {found[0]} {array_type(arrays[0])}: {error}")
            return None
        return np.stack(each) if stacked else each[0]

    taken = map_paths(take, spec)
    left = [name for name in state_dict if name not in used]
    left = [name for name in left if not any(fnmatchcase(name, pattern) for pattern in (*IGNORED, *ignore))]
    problems += [f"left over: {name} {array_type(_numpy(state_dict[name]))}" for name in left]
    if problems:
        raise ValueError(
            "load_state_dict: the state dict does not fit the spec; say it by names={path: name}, ignore=[name]:\n  "
            + "\n  ".join(problems)
        )
    return load(spec, taken)


def _source(path: str, names: Names) -> tuple[str, str | None]:
    """Where the array of a path is, and how its axes lie, if that is said."""
    for pattern, given in names.items():
        name, axes = (given, None) if isinstance(given, str) else given
        if match := re.fullmatch(re.escape(pattern).replace(r"\*", "(.*)"), path):
            texts = [*match.groups()]
            if pattern.endswith("*"):
                texts[-1] = _translated(texts[-1])
            for text in texts:
                name = name.replace("*", text.replace("/", "."), 1)
            return name, axes
    return _translated(path).replace("/", "."), None


def _part(name: str) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """A name without "[i/n]", and what takes part i of n of its array."""
    match = re.fullmatch(r"(.*)\[(\d+)/(\d+)\]", name)
    if match is None:
        return name, lambda x: x
    i, n = int(match[2]), int(match[3])
    return match[1], lambda x: x[i * len(x) // n : (i + 1) * len(x) // n]


def _translated(path: str) -> str:
    """A path whose last part is called as torch calls it."""
    parents, slash, leaf = path.rpartition("/")
    return parents + slash + LEAVES.get(leaf, leaf)


def _numbered(name: str, state_dict: Mapping[str, Any]) -> list[str]:
    """The names of layers 0, 1, ... that there are; or those from another number on."""
    before, first, after = re.split(r"\{i\+?(\d*)\}", name, maxsplit=1)
    found = (f"{before}{i}{after}" for i in itertools.count(int(first or 0)))
    return list(itertools.takewhile(state_dict.__contains__, found))


def _as_declared(path: str, param: Param, x: np.ndarray, axes: str | None, stacked: bool) -> np.ndarray:
    """One layer's array as the spec lays it out.

    Raises:
      ValueError: its shape is not that of the same weights in torch.
    """
    names, shape = param.axes[stacked:], param.shape[stacked:]
    if axes is not None:
        return _said(axes, x)
    if not param.fan_in or path.rpartition("/")[2] == "table":
        return x.reshape(shape) if x.shape == (math.prod(shape),) else x
    if "gates" in names:
        raise ValueError("gates have an order of their own; map them by hand")
    size = dict(zip(names, shape, strict=True))
    made = [name for name in names if name not in (*param.fan_in, *param.receptive)]
    theirs = [*made, *param.fan_in, *param.receptive]
    product = lambda axes: math.prod(size[name] for name in axes)
    merged = (product(made), product(param.fan_in), *(size[name] for name in param.receptive))
    if x.shape not in (merged, whole := tuple(size[name] for name in theirs)):
        raise ValueError(f"expected {merged}, of which {shape} are made")
    return x.reshape(whole).transpose([theirs.index(name) for name in names])


def _said(axes: str, x: np.ndarray) -> np.ndarray:
    """Axes in another order, such as "i o y x -> y x i o"."""
    theirs, arrow, ours = (part.split() for part in axes.partition("->"))
    if not arrow or sorted(theirs) != sorted(ours) or len(theirs) != x.ndim:
        raise ValueError(f'expected its {x.ndim} axes in two orders, such as "i o -> o i", found {axes!r}')
    return x.transpose([theirs.index(name) for name in ours])


def _numpy(x: Any) -> np.ndarray:
    """A tensor as NumPy has it; bfloat16, which it has not, exactly in float32."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x
    return np.asarray(x)
