"""The maps over a spec: what one may want to know, or make, of declared parameters."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jnn.param._declare import Param, Params, Rules, Spec, check_spec
from jnn.param._paths import check_key, flatten, map_paths, path_key
from jnn.program import Program


def init(spec: Spec, key: jax.Array, *, mesh: Mesh | None = None, rules: Rules | None = None) -> Params:
    """Initialization: draws every parameter; with a mesh, shard by shard in place, and with the same values.

    On a mesh of CPU devices the first draws all, for they share one memory; and an orthogonal draw calls LAPACK, which
    waits for threads of the pool that its callers hold: as many devices as threads would wait for each other for ever.

    Raises:
      TypeError: spec is none, or key not one PRNG key.
      ValueError: a parameter cannot be drawn, or not be placed by the rules.

    >>> init({"b": Param((2,), jax.nn.initializers.ones, ("hidden",))}, jax.random.key(0))
    {'b': Array([1., 1.], dtype=float32)}
    """
    check_spec("init", spec)
    check_key("init", key)
    placed = None if mesh is None else shardings(spec, mesh, rules or {})

    @functools.cache
    def at(path: str) -> jax.Array:
        above, _, name = path.rpartition("/")
        return path_key(at(above), name) if path else key

    # keys of known values are folded here, not in the program: it would take longer to compile than to draw
    keys = {path: at(path) for path in flatten(spec)}
    draw = lambda keys: map_paths(lambda path, param: _drawn(path, param, keys[path]), spec)
    traced = any(isinstance(key, jax.core.Tracer) for key in keys.values())
    if mesh is not None and mesh.devices.flat[0].platform == "cpu" and not traced:
        return jax.device_put(Program(draw, "init")(keys), placed)
    return Program(draw, "init", out_shardings=placed)(keys)


def _drawn(path: str, param: Param, key: jax.Array) -> jax.Array:
    try:
        return param.draw(key)
    except Exception as error:
        error.add_note(f"while drawing {path} {param.shape}")
        raise


def abstract(spec: Spec, *, mesh: Mesh | None = None, rules: Rules | None = None) -> Any:
    """Abstract parameters: the spec as `jax.ShapeDtypeStruct`s, with shardings when a mesh is given.

    >>> abstract({"b": Param((2,), jax.nn.initializers.zeros, ("hidden",))})
    {'b': ShapeDtypeStruct(shape=(2,), dtype=float32)}
    """
    check_spec("abstract", spec)
    placed = jax.tree.map(lambda param: None, spec) if mesh is None else shardings(spec, mesh, rules or {})
    return jax.tree.map(lambda param, s: jax.ShapeDtypeStruct(param.shape, param.dtype, sharding=s), spec, placed)


def shardings(spec: Spec, mesh: Mesh, rules: Rules) -> Any:
    """Shardings: a `NamedSharding` per parameter, from rules `{logical axis: mesh axis or axes}`.

    Raises ValueError naming every parameter that the rules cannot place, and why.
    """
    check_spec("shardings", spec)
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


def count_params(tree: Any) -> int:
    """Parameter count: how many numbers a spec, or a tree of arrays, holds."""
    return sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(tree))


def summary(spec: Spec, *, mesh: Mesh | None = None, rules: Rules | None = None) -> str:
    """Summary: a table of path, shape, axes, dtype, count and bytes (on each device too, given a mesh)."""
    check_spec("summary", spec)
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
