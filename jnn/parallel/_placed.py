"""Where each parameter of a spec is kept, where it is used, and where its gradient is summed; found by paths.

    placed_parameters(spec, shardings, named) -> {path: Placed}
    called(placed, path, shape) -> [path, ...]         the parameters that a path, or the end of one, may mean
    kept_for(placed, path) -> path, or None            the parameter that an array of a state is kept for
    lies_as(placed, path, shape) -> PartitionSpec      and how that array lies

Laws: an array that is kept for a parameter lies as that does: its path is that one's with names in one place left out,
its shape is that one's with axes in front, or some left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, NamedTuple

from jax.sharding import PartitionSpec

from jnn.parallel._rules import Resolved, rule_axes
from jnn.param import Param, Spec, flatten

Shape = tuple[int, ...]


class Placed(NamedTuple):
    """A parameter, as `Layout.parameter` says."""

    shape: Shape
    kept: PartitionSpec
    used: PartitionSpec
    summed: PartitionSpec


def placed_parameters(spec: Spec, shardings: Any, named: Resolved) -> dict[str, Placed]:
    """Of every parameter the shape, where it is kept, where it is used, and where its gradient is summed."""
    found, where = {}, flatten(shardings)
    for path, param in flatten(spec).items():
        kept, used = where[path].spec, _used(param, where[path].spec, named)
        maps = bool(param.fan_in) and path.rpartition("/")[2] != "table"
        found[path] = Placed(param.shape, kept, used, kept if maps else used)
    return found


def _used(param: Param, kept: PartitionSpec, named: Resolved) -> PartitionSpec:
    # experts stay where they are, though the batch lies on their axis: tokens come to them
    # and layers in their stages
    home = lambda name: {*named.get(name, ()), *(("stage",) if name == "layers" else ())}
    stays = lambda name, a: a not in named["batch"] or a in home(name)
    rules = zip(param.axes, kept, strict=True)
    return PartitionSpec(*[tuple(a for a in rule_axes(axes) if stays(name, a)) or None for name, axes in rules])


def called(placed: Mapping[str, Placed], path: str, shape: Shape, *, or_one_layer: bool = False) -> list[str]:
    """The parameters of that shape, or stacks of such, whose path is that one, or else ends in it."""
    fits = lambda whole: shape == whole or (or_one_layer and shape == whole[1:])
    names = [name for name, p in placed.items() if f"/{name}".endswith(f"/{path}") and fits(p.shape)]
    return [path] if path in names else names


def kept_for(placed: Mapping[str, Placed], path: str) -> str | None:
    """The parameter that an array is kept for: its path is the array's, with some names in it left out.

    `actor/opt_state/0/mu/fc1/w` is kept for `actor/fc1/w`, or for `fc1/w`.
    """
    names = path.split("/")
    spans = sorted(combinations(range(len(names) + 1), 2), key=lambda span: span[1] - span[0])
    candidates = ("/".join(names[:begin] + names[end:]) for begin, end in spans)
    return path if path in placed else next((c for c in candidates if c in placed), None)


def lies_as(placed: Mapping[str, Placed], path: str, shape: Shape) -> PartitionSpec:
    """How an array lies: as its parameter where it is kept for one, otherwise whole."""
    found = kept_for(placed, path)
    whole, kept = ((), PartitionSpec()) if found is None else placed[found][:2]
    if "slice_residual" in path.split("/"):  # of `error_feedback_step`: a gradient's own shape behind the slices
        return PartitionSpec("slice", *kept)
    return _reduced(whole, kept, shape)


def _reduced(shape: Shape, spec: PartitionSpec, target: Shape) -> PartitionSpec:
    """The spec of an array of this shape, for one with axes in front, or with some left out.

    Where it cannot be known which are left out, because they are of one size, they are whole.
    """
    rules = [*spec, *[None] * (len(shape) - len(spec))]
    if len(target) >= len(shape) and target[len(target) - len(shape) :] == shape:
        return PartitionSpec(*[None] * (len(target) - len(shape)), *rules)
    fits = [dims for dims in combinations(range(len(shape)), len(target)) if tuple(shape[d] for d in dims) == target]
    choices = zip(*[[rules[d] for d in dims] for dims in fits], strict=True)
    return PartitionSpec(*[rule[0] if len(set(rule)) == 1 else None for rule in choices])
