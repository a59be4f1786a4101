"""Models name axes; a layout, where one is in force, says on which devices they lie.

    constrain(x, "time", "embed") -> x        names the last axes of an activation; the first of those before is "batch"
    gather(p, "blocks") -> p                  parameters, whole where they are used and in pieces where they are kept
    gathered(f)(p, ...) -> y                  the same, for all that f does not gather itself
    shard_mapped(f, names, ...)(x, ...) -> y  a kernel that the compiler cannot share out, on each device's own pieces
    use_layout(layout)                        what a parallel step is traced in

Laws: without a layout the first three change nothing, and cost nothing; with one they change no value, only where it
is. They work under `jit`, `grad`, `vmap`, `scan` and `jax.checkpoint`. A model never mentions a mesh.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, TypeVar

import jax
from jax.lax import with_sharding_constraint
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding


class Layout(Protocol):
    """Where arrays lie, by the names of their axes: `jnn.parallel.Layout`."""

    @property
    def mesh(self) -> Mesh:
        """Of devices; within `shard_map` an abstract one, which knows what is taken."""
        ...

    def activation(self, shape: tuple[int, ...], names: tuple[str | None, ...]) -> NamedSharding:
        """Where an activation lies whose last axes have these names; None is anywhere."""
        ...

    def parameter(self, path: str, shape: tuple[int, ...]) -> tuple[Sharding, Sharding, Sharding] | None:
        """Where a parameter, or one layer of a stack, is kept; where it is used; and where its gradient is summed.

        None of an array that is none of the layout's parameters.
        """
        ...

    def kept_in_pieces(self, params: Any) -> dict[str, str]:
        """The paths of those arrays that are kept along axes which the batch lies on; the layout's names of them."""
        ...

    def trial(self) -> tuple[Layout, set[str]]:
        """The same layout, and the names of the parameters that it will have been asked for."""
        ...


Result = TypeVar("Result")

# a part of the key of every `jit`, so that what was traced without a layout is never used with one
_in_force = jax.make_user_context(default_value=None)


@contextlib.contextmanager
def use_layout(layout: Layout | None) -> Iterator[None]:
    """Layout in force for what is traced, or run, within; None puts none in force."""
    with _in_force(layout):
        yield


def in_force() -> Layout | None:
    """The layout that is in force, if there is one."""
    return _in_force.value


def constrain(x: jax.Array, *names: str | None) -> jax.Array:
    """Sharding constraint: names the axes of an activation, so that a layout can place it.

    See "GSPMD: General and Scalable Parallelization for ML Computation Graphs", Xu et al., 2021.

    Args:
      x: (batch, ..., *names): the first axis before the named ones is "batch", those between lie as they happen to.
      names: of the last axes; None of one that may lie anywhere.

    Returns:
      x.

    Raises (where a layout is in force):
      ValueError: x has fewer axes than there are names, or an axis that its mesh axes do not divide.

    >>> constrain(jax.numpy.ones((8, 16, 32)), "time", "embed").shape
    (8, 16, 32)
    """
    layout = _in_force.value
    return x if layout is None else with_sharding_constraint(x, layout.activation(x.shape, names))


def gather(p: Any, path: str = "") -> Any:
    """Gathered parameters, as they are used: where the batch's devices each keep a piece of them, put together.

    Call it inside of what `scan` or `jax.checkpoint` repeats: one layer is then whole at a time, is put together again
    for the backward pass instead of being remembered, and its gradient goes back in pieces.

    See "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", Rajbhandari et al., 2020.

    Args:
      p: parameters, or one layer of stacked ones.
      path: where p lies in the params, or the end of that path: `gather(p["fc1"], "fc1")`.

    Returns:
      p. What the layout's spec does not declare stays where it is: weights that the loss makes itself, of adapters or
      of integers, and networks that have no spec in it.

    Raises (where a layout is in force):
      ValueError: it may be one of several parameters, which lie differently.

    >>> gather({"w": jax.numpy.ones((3, 2))}, "fc1")["w"].shape
    (3, 2)
    """
    layout = _in_force.value
    if layout is None:
        return p

    def place(keys: Any, x: jax.Array) -> jax.Array:
        names = jax.tree_util.keystr(keys, simple=True, separator="/")
        placed = layout.parameter("/".join(filter(None, (path, names))), x.shape)
        return x if placed is None else _put_together(*placed, x)

    return jax.tree.map_with_path(place, p)


def gathered(f: Callable[..., Result]) -> Callable[..., Result]:
    """A function whose parameters are whole along the batch's axes: where it gathers them, or else where it begins.

    A parameter that lies along the axes that share the batch ("fsdp") is kept there, not used there. What a model does
    not gather would go into its products in pieces, and XLA's partitioner gets such a product wrong. On a mesh of
    data=2, fsdp=2, tensor=2, with JAX 0.10.2, Shardy or not, the one line

        x (rows data+fsdp, columns tensor) @ w (rows tensor, columns fsdp) -> y (rows data+fsdp, columns tensor)

    exchanges the rows of data=0, fsdp=1 and data=1, fsdp=0: it permutes x so that its rows meet w's columns on "fsdp",
    and does not permute y back. No weight that is whole along "fsdp" gives it the occasion.

    Args:
      f: of trees of parameters and whatever else. Under a layout that keeps some in pieces it is traced twice, once to
        see what it gathers.

    Returns:
      A function of the same arguments; without a layout it is `f`.

    >>> gathered(lambda p: p["w"].sum())({"w": jax.numpy.ones(4)}).item()
    4.0
    """

    @functools.wraps(f)
    def whole(*trees: Any) -> Result:
        layout = _in_force.value
        if layout is None or not any(rest := [layout.kept_in_pieces(tree) for tree in trees]):
            return f(*trees)
        trial, asked = layout.trial()
        with use_layout(trial):
            jax.eval_shape(lambda *trees: (f(*trees), None)[1], *trees)
        return f(*(_gather_rest(tree, names, asked) for tree, names in zip(trees, rest, strict=True)))

    return whole


def _gather_rest(tree: Any, names: dict[str, str], asked: set[str]) -> Any:
    """The arrays of a tree that are kept in pieces, put together unless the function asks for that itself."""

    def place(keys: Any, x: Any) -> Any:
        path = jax.tree_util.keystr(keys, simple=True, separator="/")
        return gather(x, path) if path in names and names[path] not in asked else x

    return jax.tree.map_with_path(place, tree)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _put_together(kept: Sharding, used: Sharding, summed: Sharding, x: jax.Array) -> jax.Array:
    return with_sharding_constraint(with_sharding_constraint(x, kept), used)


@_put_together.defjvp
def _tangent(
    kept: Sharding, used: Sharding, summed: Sharding, x: tuple[jax.Array], tangent: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    # Where the value is used no sum need be: as the transpose of that it would be whole, on every device of the batch,
    # before it is cut into the pieces that are kept.
    value = _put_together(kept, used, summed, *x)
    return value, with_sharding_constraint(with_sharding_constraint(*tangent, kept), summed)


def shard_mapped(f: Callable[..., jax.Array], *names: tuple[str | None, ...]) -> Callable[..., jax.Array]:
    """`f` on each device's own pieces of its arguments; the result lies as the first of them.

    Args:
      f: of arrays, whose answer for a piece is that piece of the answer.
      names: of the last axes of each argument, as `constrain` takes them; None for an axis that no device shares.

    Returns:
      A function of the arrays. Without a layout, or where all arrays are pieces already, it is `f`.

    >>> double = shard_mapped(lambda x: 2 * x, (None, "embed"))
    >>> double(jax.numpy.ones((8, 16, 32))).shape
    (8, 16, 32)
    """

    def shared(*args: jax.Array) -> jax.Array:
        if not (free := free_axes()):
            return f(*args)
        placed = [placement(x, *axes) for x, axes in zip(args, names, strict=True)]
        specs = tuple(where.spec for where in placed)
        # without check_vma: kernels do not say of their results between which devices they differ
        on_each = partial(jax.shard_map, mesh=placed[0].mesh, axis_names=free, check_vma=False)
        return on_each(f, in_specs=specs, out_specs=specs[0])(*args)

    return shared


def free_axes() -> set[str]:
    """The axes of the layout's mesh along which arrays are not pieces already.

    No axis without a layout, nor within a `shard_map` that it knows nothing of.
    """
    layout, taken = in_force(), jax.sharding.get_abstract_mesh().manual_axes
    if layout is None or (taken and not layout.mesh.manual_axes):
        return set()
    return set(layout.mesh.axis_names) - set(taken)


def placement(x: jax.Array, *names: str | None) -> NamedSharding:
    """Where `shard_mapped` wants an array; a layout is in force."""
    layout = _in_force.value
    assert layout is not None
    where = layout.activation(x.shape, names)
    rules = [None if rule is PartitionSpec.UNCONSTRAINED else rule for rule in where.spec]
    return NamedSharding(where.mesh, PartitionSpec(*rules))
