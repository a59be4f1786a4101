"""A function as a primitive of JAX's own: JAX has no other way to say that it is bilinear, with transposes of its own,
and can yet be pushed forward, batched and compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir


def primitive(
    name: str,
    f: Callable[..., jax.Array],
    *,
    static: tuple[str, ...],
    of_batch: Callable[..., jax.Array] | None = None,
) -> Primitive:
    """A primitive that computes f, whose `static` arguments have names; under `vmap` as `of_batch` does, if given."""
    new = Primitive(name)
    new.def_impl(functools.partial(jax.jit, static_argnames=static)(f))

    def abstract(*avals: Any, **how: Any) -> Any:
        shape = jax.eval_shape(functools.partial(f, **how), *map(shape_of, avals))
        return jax.core.ShapedArray(shape.shape, shape.dtype)

    def batched(args: Any, axes: Any, **how: Any) -> tuple[jax.Array, int]:
        return jax.vmap(functools.partial(of_batch or f, **how), axes)(*args), 0

    new.def_abstract_eval(abstract)
    batching.primitive_batchers[new] = batched
    mlir.register_lowering(new, mlir.lower_fun(f, multiple_results=False))
    return new


def shape_of(aval: Any) -> jax.ShapeDtypeStruct:
    """Its shape and dtype alone."""
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def on_a_mesh(*arrays: jax.Array) -> bool:
    """Whether JAX asks more of a primitive than shapes: how each of its results lies there."""
    return any(jax.typeof(a).sharding.mesh.axis_names for a in arrays)
