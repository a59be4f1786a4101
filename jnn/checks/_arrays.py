"""One array, and arrays beside each other: what they are, their dtypes and their shapes.

describe(x) -> "float32[8,128]"                 what was found, as errors say it
array, floats, rank, trailing                   whether it is an array, of floats, its rank and its last axes
integers(layer, x) -> x                         the same, and x in a dtype in which nothing wraps around
same_shape(layer, a=a, b=b)                     arrays of one shape
pair(layer, predictions, targets)               two of one shape, in one dtype
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.param import Param, array_type
from jnn.precision import wide_dtype, wide_integers


def describe(x: Any) -> str:
    """`float32[8,128]`, as JAX prints types; of what is no array, its own type."""
    if _is_array(x) or isinstance(x, jax.ShapeDtypeStruct):
        return array_type(x)
    module = type(x).__module__.split(".")[0]
    return type(x).__name__ if module == "builtins" else f"{module}.{type(x).__name__}"


def _is_array(x: Any) -> bool:
    return isinstance(x, jax.Array | np.ndarray | np.generic) or hasattr(type(x), "__jax_array__")


def array(layer: str, x: Any, name: str = "x") -> None:
    """Raises unless x is an array of JAX or NumPy, or says how to become one (`__jax_array__`)."""
    if _is_array(x):
        return
    raise TypeError(f"{layer}: expected an array for {name}, found {describe(x)}. {how_to_array(x, name)}")


def how_to_array(x: Any, name: str) -> str:
    """What to type where x is no array: how to make one of it."""
    if isinstance(x, Param):
        return "That is a spec; make params of it: params = jnn.init(spec, jax.random.key(0))."
    if isinstance(x, jax.ShapeDtypeStruct):
        return "Shapes without values go through jax.eval_shape(f, ...)."
    if isinstance(x, Mapping):
        return f"Take one of its arrays: it has {sorted(map(str, x))}."
    if isinstance(x, tuple):
        return f"If a layer returned it, unpack it: {name}, stats = ...; if it holds numbers, type jnp.asarray({name})."
    if hasattr(x, "detach"):
        return f"Type jnp.asarray({name}.detach().numpy())."
    convert = next((f"{name}.{method}()" for method in ("numpy", "to_numpy") if hasattr(x, method)), name)
    return f"Give an array of JAX or NumPy, such as jnp.asarray({convert})."


def floats(layer: str, x: jax.Array, *, ndim: int = 1) -> None:
    """Raises unless x is a non-empty float array of rank >= ndim."""
    array(layer, x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{layer}: expected floating-point input, found {describe(x)}.{_cast(x, 'float32')}")
    rank(layer, x, ndim)


def rank(layer: str, x: jax.Array, ndim: int) -> None:
    """Raises unless x has rank >= ndim and at least one element."""
    array(layer, x)
    if x.ndim < ndim:
        raise ValueError(f"{layer}: expected an array of rank {ndim} or more, found {describe(x)}.")
    if x.size == 0:
        raise ValueError(
            f"{layer}: expected at least one example, found the empty array {describe(x)}. Leave the layer out where "
            "there is nothing to compute, or fill the batch up and give weight 0."
        )


def trailing(layer: str, x: jax.Array, sizes: tuple[int, ...]) -> None:
    """Raises unless x's last axes have these sizes: the ones that the parameters were declared with."""
    if x.shape[x.ndim - len(sizes) :] != sizes:
        want = ",".join(("...", *map(str, sizes)))
        found = next((i for i, n in enumerate(x.shape[:-1]) if (n,) == sizes), None)
        last = "" if found is None else f" Features come last: jnp.moveaxis(x, {found}, -1)."
        raise ValueError(f"{layer}: its parameters expect input [{want}], found {describe(x)}.{last}")


def integers(layer: str, x: jax.Array, *, ndim: int = 0, name: str = "x") -> jax.Array:
    """x in 32 bits at least, once it is known to be a non-empty integer array of rank >= ndim.

    >>> integers("one_hot", jnp.ones(2, jnp.uint8)).dtype
    dtype('int32')
    """
    array(layer, x, name)
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise TypeError(f"{layer}: expected integers, found {describe(x)}.{_cast(x, 'int32', name)}")
    rank(layer, x, ndim)
    whole: jax.Array = wide_integers(x)
    return whole


def _cast(x: jax.Array, dtype: str, name: str = "x") -> str:
    """What to type where a cast loses nothing that was meant."""
    real = any(jnp.issubdtype(x.dtype, kind) for kind in (jnp.bool_, jnp.integer, jnp.floating))
    return f" Cast it: {name}.astype(jnp.{dtype})." if real else ""


def same_shape(layer: str, **arrays: jax.Array) -> None:
    """Raises unless all arrays have one shape: a loss never broadcasts in silence."""
    for name, a in arrays.items():
        array(layer, a, name)
    if len({a.shape for a in arrays.values()}) > 1:
        found = ", ".join(f"{name} {describe(a)}" for name, a in arrays.items())
        raise ValueError(f"{layer}: expected equal shapes, found {found}.{_add_axis(arrays)}")
    for a in arrays.values():
        rank(layer, a, 0)


def _add_axis(arrays: dict[str, jax.Array]) -> str:
    """What to type where one array lacks the last axis, of size 1, of the other."""
    short, long = sorted(arrays, key=lambda name: arrays[name].ndim)[:: len(arrays) - 1]
    missing = (*arrays[short].shape, 1) == arrays[long].shape
    return f" Add the axis of outputs: {short}[..., None]." if missing else ""


def pair(layer: str, predictions: jax.Array, targets: jax.Array, *, ndim: int = 1) -> tuple[jax.Array, jax.Array]:
    """Predictions, floating point, and targets of their shape: both in float32, or what keeps more digits of either.

    >>> [x.dtype.name for x in pair("error", jnp.ones(2, jnp.bfloat16), jnp.arange(2))]
    ['float32', 'float32']
    """
    floats(layer, predictions, ndim=ndim)
    same_shape(layer, predictions=predictions, targets=targets)
    dtype = jnp.promote_types(wide_dtype(predictions), targets.dtype)
    # NumPy's keep all digits; JAX's have the bits that it is set to
    held = lambda x: x.astype(dtype if isinstance(x, np.ndarray | np.generic) else jax.dtypes.canonicalize_dtype(dtype))
    return held(predictions), held(targets)
