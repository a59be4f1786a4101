"""Parameters as declarations: a *spec* is a nested dict of `Param`s, before any array exists.

    init(spec, key) -> params       the arrays, each drawn from the key and its own path
    abstract(spec), shardings(...)  shapes and dtypes; a `NamedSharding` for every leaf
    stack(spec, n) -> spec          the same layer n times, for `jax.lax.scan`
    load(spec, arrays) -> params    somebody else's arrays, every misfit named at once
    weights(spec) -> mask           True where decay belongs: on linear maps, not biases or norms
    count(spec), summary(spec)      how many, and a table of them

Laws: `init` returns the tree, shapes and dtypes that the spec declares, and a draw depends on the
key and the path alone: `init(spec, key)["fc"] == init(spec["fc"], path_key(key, "fc"))`.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jnn.program import Program

Initializer = Callable[[jax.Array, Sequence[int], Any], jax.Array]
Rules = Mapping[str, str | tuple[str, ...] | None]  # logical axis name -> mesh axis or axes
Spec = Any  # nested dicts of Param
Params = Any  # the same tree, of arrays


@runtime_checkable
class NamedInitializer(Protocol):
    """An initializer that reads axis names, such as `jnn.initializers.he_normal`."""

    def resolve(self, param: Param) -> Initializer: ...


@dataclasses.dataclass(frozen=True)
class Param:
    """One parameter, declared.

    Args:
      shape, dtype: of the array.
      init: `(key, shape, dtype) -> array` as in `jax.nn.initializers`, or a `NamedInitializer`.
      axes: one name per dimension; sharding rules and fans refer to these.
      fan_in, fan_out: the axes that a *weight* sums over and makes; its others are a receptive field.
    """

    shape: tuple[int, ...]
    init: Initializer | NamedInitializer
    axes: tuple[str, ...]
    dtype: jax.typing.DTypeLike = jnp.float32
    fan_in: tuple[str, ...] = ()
    fan_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.axes) != len(self.shape) or len(set(self.axes)) != len(self.axes):
            raise ValueError(f"Param: shape {self.shape} needs {len(self.shape)} distinct names, not {self.axes}.")
        if unknown := [a for a in self.fan_in + self.fan_out if a not in self.axes]:
            raise ValueError(f"Param: fans name {unknown}, which are not among its axes {self.axes}.")

    def draw(self, key: jax.Array) -> jax.Array:
        """An array of this shape and dtype."""
        init = self.init.resolve(self) if isinstance(self.init, NamedInitializer) else self.init
        return init(key, self.shape, self.dtype)


def path_key(key: jax.Array, path: str) -> jax.Array:
    """The key for `path` below `key`, folded name by name.

    >>> key = jax.random.key(0)
    >>> bool(path_key(key, "a/b") == path_key(path_key(key, "a"), "b"))
    True
    """
    for name in filter(None, path.split("/")):
        key = jax.random.fold_in(key, zlib.crc32(name.encode()))
    return key


def map_paths(fn: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`fn(path, leaf, ...)` at every leaf; a path reads `blocks/attention/q/w`."""
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator="/")
    return jax.tree.map_with_path(lambda path, *leaves: fn(name(path), *leaves), tree, *rest)


def flatten(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by path.

    >>> flatten({"fc": {"w": 1, "b": 2}})
    {'fc/b': 2, 'fc/w': 1}
    """
    leaves: dict[str, Any] = {}
    map_paths(leaves.__setitem__, tree)
    return leaves


def init(spec: Spec, key: jax.Array, *, mesh: Mesh | None = None, rules: Rules | None = None) -> Params:
    """Draws every parameter; with a mesh, shard by shard in place, and with the same values.

    >>> init({"b": Param((2,), jax.nn.initializers.ones, ("hidden",))}, jax.random.key(0))
    {'b': Array([1., 1.], dtype=float32)}
    """
    placed = None if mesh is None else shardings(spec, mesh, rules or {})
    draw = lambda key: map_paths(lambda path, param: param.draw(path_key(key, path)), spec)
    return Program(draw, "init", out_shardings=placed)(key)


def abstract(spec: Spec, *, mesh: Mesh | None = None, rules: Rules | None = None) -> Any:
    """The spec as `jax.ShapeDtypeStruct`s, with shardings when a mesh is given.

    >>> abstract({"b": Param((2,), jax.nn.initializers.zeros, ("hidden",))})
    {'b': ShapeDtypeStruct(shape=(2,), dtype=float32)}
    """
    placed = jax.tree.map(lambda param: None, spec) if mesh is None else shardings(spec, mesh, rules or {})
    return jax.tree.map(lambda param, s: jax.ShapeDtypeStruct(param.shape, param.dtype, sharding=s), spec, placed)


def shardings(spec: Spec, mesh: Mesh, rules: Rules) -> Any:
    """A `NamedSharding` per parameter, from rules `{logical axis: mesh axis or axes}`.

    Raises ValueError naming every parameter that the rules cannot place, and why.
    """
    problems: list[str] = []

    def place(path: str, param: Param) -> NamedSharding | None:
        try:
            placed = NamedSharding(mesh, PartitionSpec(*map(rules.get, param.axes)))
            placed.shard_shape(param.shape)
            return placed
        except Exception as error:  # JAX's own: no such mesh axis, one used twice, a size that does not divide
            problems.append(f"{path} {param.shape} with axes {param.axes}: {error}")
            return None

    placed = map_paths(place, spec)
    if problems:
        raise ValueError("These parameters cannot be sharded by the rules:\n  " + "\n  ".join(problems))
    return placed


def stack(spec: Spec, n: int, axis: str = "layers") -> Spec:
    """The same spec n times along a new leading axis; layer i's draw does not depend on n.

    >>> stack({"b": Param((2,), jax.nn.initializers.zeros, ("hidden",))}, 3)["b"].shape
    (3, 2)
    """

    def repeat(param: Param) -> Param:
        draw = lambda key, *_: jax.vmap(lambda i: param.draw(jax.random.fold_in(key, i)))(jnp.arange(n))
        return dataclasses.replace(param, shape=(n, *param.shape), axes=(axis, *param.axes), init=draw)

    return jax.tree.map(repeat, spec)


def load(spec: Spec, arrays: Any, *, mesh: Mesh | None = None, rules: Rules | None = None) -> Params:
    """Params from somebody else's arrays: a nested tree, or a flat dict by path.

    Raises ValueError listing everything missing, unused and misshapen, before anything is allocated.
    """
    want, have = flatten(abstract(spec, mesh=mesh, rules=rules)), flatten(arrays)
    problems = [f"missing: {path} {want[path].shape}" for path in want if path not in have]
    problems += [f"unused: {path} {np.shape(have[path])}" for path in have if path not in want]
    for path in want.keys() & have.keys():
        if np.shape(have[path]) != want[path].shape:
            problems.append(f"misshapen: {path} is {np.shape(have[path])}, the spec says {want[path].shape}")
        elif not np.can_cast(have[path].dtype, want[path].dtype, "same_kind"):
            problems.append(f"mistyped: {path} is {have[path].dtype}, the spec says {want[path].dtype}")
    if problems:
        raise ValueError("The arrays do not fit the spec:\n  " + "\n  ".join(sorted(problems)))
    put = lambda path, s: jax.device_put(np.asarray(have[path]).astype(s.dtype), s.sharding)
    return map_paths(lambda path, _: put(path, want[path]), spec)


def weights(spec: Spec) -> Any:
    """True for the linear maps of a spec, False for biases, scales and offsets: a mask for Optax."""
    return jax.tree.map(lambda param: bool(param.fan_in), spec)


def count(tree: Any) -> int:
    """How many numbers a spec, or a tree of arrays, holds."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def summary(spec: Spec, *, mesh: Mesh | None = None, rules: Rules | None = None) -> str:
    """A table of path, shape, axes, dtype, count and bytes (on each device too, given a mesh)."""
    rows, totals = [["path", "shape", "axes", "dtype", "count", "bytes", "bytes/device"]], [0, 0, 0]
    shapes = flatten(abstract(spec, mesh=mesh, rules=rules))
    for param, (path, s) in zip(jax.tree.leaves(spec), shapes.items(), strict=True):
        local = s.sharding.shard_shape(s.shape) if mesh else s.shape
        sizes = [s.size, s.size * s.dtype.itemsize, math.prod(local) * s.dtype.itemsize]
        totals = [total + size for total, size in zip(totals, sizes, strict=True)]
        rows.append([path, "x".join(map(str, s.shape)), " ".join(param.axes), s.dtype.name, *map("{:,}".format, sizes)])
    rows.append(["total", "", "", "", *map("{:,}".format, totals)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][: 7 if mesh else 6]
    line = "  ".join(f"{{:{'<' if i < 4 else '>'}{width}}}" for i, width in enumerate(widths))
    return "\n".join(line.format(*row).rstrip() for row in rows)
