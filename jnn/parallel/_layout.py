"""A layout: where every array of a run lies, by the names of its axes.

    layout(spec, mesh) -> Layout            from two small tables of rules, and a user's changes
    layout.parameters, layout.batch()       shardings of the params, and of a batch
    layout.like(tree)                       of anything made of params: gradients, optimizer states, averages
    layout.activation(shape, names)         what `jnn.axes.constrain` asks for
    layout.parameter(path, shape)           what `jnn.axes.gather` asks for

Law: a dimension that its devices do not divide is an error, or whole if the user says so.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, Literal

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jnn.parallel._mesh import mesh as make_mesh
from jnn.parallel._placed import Placed, Shape, called, kept_for, lies_as, placed_parameters
from jnn.parallel._rules import ACTIVATIONS, PARAMETERS, Resolved, check_names, resolve
from jnn.param import Param, Rules, Spec, flatten, map_paths, shardings

Uneven = Literal["error", "replicate"]


def layout(
    spec: Spec,
    mesh: Mesh | str,
    *,
    parameters: Rules | None = None,
    activations: Rules | None = None,
    uneven: Uneven = "error",
) -> Layout:
    """Layout: where a model's arrays lie on a mesh.

    Args:
      spec: of the whole model.
      mesh: or the string for `jnn.parallel.mesh`.
      parameters: changes to `jnn.parallel.PARAMETERS`: logical axis -> mesh axis or axes, None for whole.
      activations: changes to `jnn.parallel.ACTIVATIONS`.
      uneven: what a dimension means that its devices do not divide: "error", or "replicate": it is then whole.

    Raises:
      ValueError: a rule names an axis that there is not, or (naming every one) parameters do not divide.

    >>> import jnn
    >>> place = layout(jnn.layers.linear_spec(4, 8), make_mesh("fsdp=1", jax.devices()[:1]))
    >>> place.parameters["w"].spec, place.batch().spec
    (P('fsdp', None), P('fsdp',))
    """
    if uneven not in ("error", "replicate"):
        raise ValueError(f"layout: uneven is 'error' or 'replicate', found {uneven!r}.")
    mesh = make_mesh(mesh) if isinstance(mesh, str) else mesh
    if not hasattr(mesh, "axis_names"):
        raise TypeError(f'layout: expected a mesh, or its axes as "data=-1,fsdp=2"; found a {type(mesh).__name__}.')
    if others := [path for path, leaf in flatten(spec).items() if not isinstance(leaf, Param)]:
        raise TypeError(
            f"layout: spec/{others[0]} is no Param. Give the spec; jnn.spec_of(params, axes=...) makes one."
        )
    names = {name for param in jax.tree.leaves(spec) for name in param.axes}
    check_names(parameters, {*PARAMETERS, *names})
    kept, named = resolve(PARAMETERS, parameters, mesh), resolve(ACTIVATIONS, activations, mesh)
    placed = shardings(spec if uneven == "error" else _named_if_even(spec, mesh, kept), mesh, kept)
    return Layout(spec, mesh, placed, named, uneven, tuple(activations or ()))


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Layout of a run's arrays, by the names of their axes; made by `layout`. Two are equal iff they are the same one.

    An array that is kept for a parameter (a gradient, an average, what an optimizer keeps) lies as that does.

    Attributes:
      spec, mesh, uneven: as given.
      parameters: a `NamedSharding` per parameter.
      named: logical axis of activations -> mesh axes.
      changes: the logical axes of activations whose rules are the user's.
    """

    spec: Spec
    mesh: Mesh
    parameters: Any
    named: Resolved
    uneven: Uneven
    changes: tuple[str, ...]
    _seen: set[str] = dataclasses.field(default_factory=set, repr=False)
    _gathered: set[str] = dataclasses.field(default_factory=set, repr=False)  # paths that `parameter` was asked for

    def batch(self, calls: int = 1) -> NamedSharding:
        """That of the leaves of a batch; of one with a leading axis of steps, if `calls` > 1."""
        return self._sharding(PartitionSpec(*[None] * (calls > 1), self.named["batch"]))

    def like(self, tree: Any) -> Any:
        """A `NamedSharding` for every leaf: its parameter's where it is kept for one, otherwise whole."""
        return map_paths(lambda path, leaf: self._sharding(lies_as(self._placed, path, leaf.shape)), tree)

    def check_covers(self, state: Any, *more: Any) -> None:
        """Raises ValueError unless a state, or what is given, holds an array for every parameter.

        What it holds of others would lie whole.
        """
        held = {kept_for(self._placed, path) for tree in (state, *more) for path in flatten(tree)}
        if missing := sorted(self._placed.keys() - held):
            raise ValueError(
                f"layout: its spec declares {', '.join(missing[:5])}, which the state lacks; the state holds "
                f"{', '.join(list(flatten(state))[:5])}, .... Of a state of several networks the spec has its fields: "
                "layout({'actor': actor_spec, 'critic': critic_spec}, mesh), and so it has of what is given."
            )

    def activation(self, shape: Shape, names: tuple[str | None, ...]) -> NamedSharding:
        """What is named lies by its rule, the first axis before those by that of "batch"; others lie anywhere.

        Of two axes whose rules name the same mesh axis, the last has it: "hidden" before "time".
        """
        if len(shape) < len(names):
            raise ValueError(f"constrain: found an activation {shape}, named {names}: more names than axes.")
        self._seen.update(name for name in names if name is not None)
        before = len(shape) - len(names)
        every = ("batch", *[None] * (before - 1))[:before] + names
        rules: list[Any] = []
        taken: set[str] = set()
        for size, name in zip(shape[::-1], every[::-1], strict=True):
            axes = tuple(axis for axis in self.named.get(name or "", ()) if axis not in taken)
            rules.insert(0, self._fit(size, name, axes, shape))
            taken.update(axes)
        return self._sharding(PartitionSpec(*rules))

    def parameter(self, path: str, shape: Shape) -> tuple[NamedSharding, NamedSharding, NamedSharding] | None:
        """Where a parameter, or a layer of a stack, is kept; used: whole along the axes that the batch lies on; summed.

        The gradient of a linear map is summed in the pieces that are kept: along the axes that these lie on it is
        scattered, and along others that share the batch ("data") no more than a piece is added up. That of a table
        (rows that are looked up) and of a bias is summed whole, then cut: the activations of all devices would be
        moved to sum a piece of the first, and the second is too small to be worth two collectives. None of what the
        spec does not declare.
        """
        names = called(self._placed, path, shape, or_one_layer=True)
        own = lambda whole, spec: spec if shape == whole else PartitionSpec(*spec[1:])
        found = {tuple(own(whole, spec) for spec in specs) for whole, *specs in map(self._placed.__getitem__, names)}
        if not found:
            return None
        if len(found) > 1:
            raise ValueError(
                f"gather: the layout's spec has several parameters, which lie differently, at {path!r} {shape}: "
                f"{', '.join(sorted(names))}. Give the path in the spec; of a network that is not trained, the spec, "
                "too: layout({'head': ..., 'body': ...}, mesh) with given={'body': ...}."
            )
        self._gathered.update(names)
        ((kept, used, summed),) = found
        return self._sharding(kept), self._sharding(used), self._sharding(summed)

    def kept_in_pieces(self, params: Any) -> dict[str, str]:
        """As `jnn.axes.Layout` has it: of params with the spec's paths, or the ends of them."""
        found = {}
        for path, x in flatten(params).items():
            names = called(self._placed, path, x.shape)
            if len({self._placed[name] for name in names}) > 1:
                raise ValueError(
                    f"layout: an update has a parameter {path!r} {x.shape}, which may be any of {', '.join(names)}, "
                    "and these lie differently. Put each network's params below its own name, in its spec as in its "
                    "state: layout({'actor': ...}) and params={'actor': ...}."
                )
            if names and self._placed[names[0]].kept != self._placed[names[0]].used:
                found[path] = names[0]
        return found

    def trial(self) -> tuple[Layout, set[str]]:
        """As `jnn.axes.Layout` has it."""
        asked: set[str] = set()
        return dataclasses.replace(self, _gathered=asked), asked

    def check_changes(self) -> None:
        """Raises ValueError for a change to the activations' rules that a model, once traced, did not ask for."""
        check_names(dict.fromkeys(self.changes), {*ACTIVATIONS, *self._seen})

    def _sharding(self, spec: PartitionSpec) -> NamedSharding:
        return NamedSharding(self.mesh, spec)

    @functools.cached_property
    def _placed(self) -> dict[str, Placed]:
        return placed_parameters(self.spec, self.parameters, self.named)

    def _fit(self, size: int, name: str | None, axes: tuple[str, ...], shape: Shape) -> Any:
        if name is None:
            return PartitionSpec.UNCONSTRAINED
        if size % (devices := devices_along(self.mesh, axes)) == 0:
            return axes or None
        if self.uneven == "replicate":
            return None
        raise ValueError(
            f"constrain: an activation {shape} has {size} along {name!r}, which {devices} devices (mesh axes "
            f"{', '.join(axes)}) do not divide. Change the size, the rule, or give layout(uneven='replicate')."
            + " Micro-batches cut the rows: these are the batch's divided by microbatches."
            * (name == "batch")
        )


def devices_along(mesh: Mesh, axes: tuple[str, ...]) -> int:
    """Device count: over how many devices an array is spread that lies on these mesh axes."""
    return math.prod(mesh.shape[axis] for axis in axes)


def _named_if_even(spec: Spec, mesh: Mesh, rules: Resolved) -> Spec:
    """The spec, where an axis that its devices do not divide goes by a name without a rule."""

    def rename(param: Param) -> Param:
        sizes = zip(param.axes, param.shape, strict=True)
        axes = tuple(
            f"{name}, whole" if size % devices_along(mesh, rules.get(name, ())) else name for name, size in sizes
        )
        return dataclasses.replace(param, axes=axes, fan_in=(), fan_out=(), receptive=())

    return jax.tree.map(rename, spec)
