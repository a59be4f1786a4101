"""What an export begins with: functions of parameters by path, free axes, and formulations that run anywhere."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from jnn import backend, checks
from jnn.param import Params, flatten

ANYWHERE, ONNX = "any", "onnx"  # the first has no formulations of its own: those that run on all backends
Shapes = str | None | tuple[str | None, ...]


def input_shapes(name: str, inputs: Sequence[Any], shapes: Shapes) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Shapes and dtypes of inputs, with free axes by their names.

    Raises:
      TypeError: an input is no array.
      ValueError: a shape does not fit its input, or they are not as many; says which.
    """
    for i, x in enumerate(inputs, 1):
        if not hasattr(x, "shape") or not hasattr(x, "dtype"):
            raise TypeError(
                f"{name}: expected arrays as inputs, or jax.ShapeDtypeStruct(shape, dtype), found "
                f"{checks.describe(x)} as number {i}. The order is function, parameters, inputs."
            )
    given = shapes if isinstance(shapes, tuple) else (shapes,) * len(inputs)
    if len(given) != len(inputs):
        raise ValueError(f"{name}: expected a shape for each of {len(inputs)} inputs, found {len(given)}: {given!r}.")
    try:
        specs = tuple(jax.export.symbolic_args_specs(tuple(inputs), given))
        if any(len(spec.shape) != len(x.shape) for spec, x in zip(specs, inputs, strict=True)):
            raise ValueError("not as many axes")
    except (ValueError, jax.errors.JAXTypeError) as error:
        found = ", ".join(f"{jax.numpy.dtype(x.dtype)}{list(x.shape)}" for x in inputs)
        raise ValueError(
            f"{name}: expected shapes of the inputs {found}, found {shapes!r}. Write the free axes by letters, as in "
            f"'b, ...', or None for an input all of whose axes are fixed. ({error})"
        ) from error
    return specs


def check_arguments(name: str, f: Any, p: Any) -> None:
    """Raises TypeError unless a function and parameters are given, and no spec."""
    if not callable(f):
        raise TypeError(f"{name}: expected a function of (p, *inputs), found {checks.describe(f)}.")
    for path, x in flatten(p).items():
        checks.array(name, x, f"params[{path!r}]")


@contextlib.contextmanager
def any_sizes(
    name: str, f: Callable[..., Any], p: Params, inputs: Sequence[Any], specs: Sequence[Any]
) -> Iterator[None]:
    """Says what to give where a function, traced within, does not hold for every size of the free axes."""
    try:
        yield
    except jax.errors.InconclusiveDimensionOperation as error:
        raise ValueError(
            f"{name}: the function does not hold for every size of the free axes. Give shapes=None for the sizes that "
            f"inputs have, or fix the axes that it asks about. ({str(error).splitlines()[0]})"
        ) from error
    _check_another_batch(name, f, p, inputs, specs)


def _check_another_batch(
    name: str, f: Callable[..., Any], p: Params, inputs: Sequence[Any], specs: Sequence[Any]
) -> None:
    """Raises ValueError unless a function holds for a row more: JAX traces `x.reshape(5, -1)` of a free axis, too."""
    free = next((str(x.shape[0]) for x in specs if x.shape and jax.export.is_symbolic_dim(x.shape[0])), None)
    if free is None or not free.isidentifier() or any(jax.export.is_symbolic_dim(n) for x in inputs for n in x.shape):
        return
    longer = lambda x, spec: tuple(n + (str(axis) == free) for n, axis in zip(x.shape, spec.shape, strict=True))
    rows = [jax.ShapeDtypeStruct(longer(x, spec), x.dtype) for x, spec in zip(inputs, specs, strict=True)]
    try:
        jax.eval_shape(f, p, *rows)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: the function holds for {inputs[0].shape[0]} rows, and not for one more. Take sizes from x.shape, "
            f"or give shapes=None for the sizes that inputs have. ({str(error).splitlines()[0]})"
        ) from error


def by_paths(f: Callable[..., Any], p: Params) -> Callable[..., Any]:
    """The function of parameters by path, in place of nested ones; its outputs as `plain` has them."""
    tree, paths = jax.tree.structure(p), [*flatten(p)]

    def apply(arrays: Mapping[str, Any], *inputs: Any) -> Any:
        return plain(f(jax.tree.unflatten(tree, [arrays[path] for path in paths]), *inputs))

    return apply


def plain(tree: Any) -> Any:
    """Outputs in what every reader has: dicts, lists and tuples, which named ones become, and other nodes by leaves."""
    if isinstance(tree, Mapping):
        return {name: plain(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [*map(plain, tree)]
    if tree is None or jax.tree_util.all_leaves([tree]):
        return tree
    return tuple(map(plain, tree if isinstance(tree, tuple) else jax.tree.leaves(tree)))


def anywhere(f: Callable[..., Any], target: str = ANYWHERE) -> Callable[..., Any]:
    """The function, traced with the formulations that run anywhere, or on a target."""

    def apply(*args: Any) -> Any:
        with backend.target(target):
            return f(*args)

    return apply


def argument_names(f: Callable[..., Any], count: int) -> list[str]:
    """Names of a function's inputs after its parameters: its own, and x1, x2, ... where it has none for them."""
    try:
        found = [name for name, one in inspect.signature(f).parameters.items() if one.kind in (0, 1)][1:]
    except (TypeError, ValueError):
        found = []
    return [found[i] if i < len(found) else f"x{i + 1}" for i in range(count)]


def weights_beside(path: Path) -> Path:
    """The file of weights beside another."""
    return path.with_suffix(".safetensors")
