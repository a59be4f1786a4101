"""Errors that teach: what a layer was given, what it expected, what to do. Trace-time only.

    params(layer, p, "w", may=("b",))               the parameters that a layer reads
    maps(layer, p, "up", "down")                    the linear maps among them
    map_parts(layer, p, "q", "k")                   the same of parts, whatever else there is
    array, floats, rank, trailing                   one array: what it is, its dtype and its shape
    integers(layer, x) -> x                         the same, and x in a dtype in which nothing wraps around
    same_shape, in_range, in_unit_interval          what arrays are to each other, and their values
    pair(layer, predictions, targets)               two of one shape, in one dtype
    number(layer, name, value, fits, expected)      a number that may be traced: a rate, a temperature
    declared(where, path, x, param), by_path        what stands at a path of a spec; what is given by path
    noise(layer, rate, key) -> key                  a key that is said, wherever there is a rate
    divides(where, rows, devices=8)                 the parts of a batch divide its rows

Shapes and dtypes are static under `jit`, so these checks cost nothing when a compiled step runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import EllipsisType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.param import Param, array_type
from jnn.precision import wide_dtype, wide_integers

KEPT = ("int8", "int4", "w8a8", "float")  # the names under which a weight in parts has its numbers
# what others call a parameter of ours
ELSEWHERE = {
    "w": ("kernel", "weight", "weights"),
    "b": ("bias", "biases"),
    "scale": ("weight", "gamma", "w"),
    "zero_centered_scale": ("weight",),
    "bias": ("beta", "offset", "b"),
    "table": ("embedding", "embeddings", "weight"),
    "q": ("query", "q_proj", "wq"),
    "k": ("key", "k_proj", "wk"),
    "v": ("value", "v_proj", "wv"),
    "o": ("out", "out_proj", "wo"),
    "angles": ("weights", "params", "thetas"),
    "slope": ("weight", "negative_slope", "alpha"),
    "frequency": ("A_imag",),
    "skip": ("D",),
    "mean": ("running_mean", "moving_mean"),
    "var": ("running_var", "moving_variance", "variance"),
}


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
    raise TypeError(f"{layer}: expected an array for {name}, found {describe(x)}. {_how_to_array(x, name)}")


def _how_to_array(x: Any, name: str) -> str:
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


def params(
    layer: str,
    p: Any,
    *need: str,
    may: tuple[str, ...] = (),
    what: str = "params",
    adapted: bool = False,
    quantized: bool = False,
) -> None:
    """Raises unless p is a dict of arrays (or of such dicts) that holds all that is needed.

    It may hold more; but not what a layer reads under another library's name, and, unless weights may be `adapted`,
    neither integers with scales (but where they may be `quantized`) for what is needed nor a "lora" beside a "w":
    nobody would read it.
    """
    if not hasattr(p, "keys"):
        swapped = f"They come first: {layer}({what}, x)." if isinstance(p, jax.Array | np.ndarray) else ""
        absent = "Of ctx.given and ctx.ema: make_step(given=...), create_state(ema=True)." if p is None else ""
        of_state = "Give those that it holds: state.params." if hasattr(p, "params") else ""
        advice = swapped or absent or of_state or _how_to_array(p, what)
        raise TypeError(f"{layer}: {_wanted(what, need + may)}; found {describe(p)}. {advice}")
    for own in need + may:
        if own in p:
            for part, x in p[own].items() if is_quantized(p[own]) or is_factored(p[own]) else ():
                if part != "sums":
                    array(layer, x, f"{what}[{own!r}][{part!r}]")
            if not hasattr(p[own], "keys"):
                array(layer, p[own], f"{what}[{own!r}]")
        elif other := next((name for name in ELSEWHERE.get(own, ()) if name in p and name not in need + may), None):
            raise ValueError(
                f"{layer}: {_wanted(what, need + may)}; found {other!r}, which is {own!r} here. Rename it, in the "
                f"shape that {layer}_spec declares."
            )
        elif own in need:
            found = f"found the names {sorted(map(str, p))}.{_inside(p, own, what)}"
            raise ValueError(f"{layer}: {_wanted(what, need + may)}; {found}")
    if not adapted:
        _plain(layer, p, need + may, what, quantized)


def _plain(layer: str, p: Any, names: tuple[str, ...], what: str, may: bool) -> None:
    """Raises if a layer that multiplies by itself is given what only linear maps read."""
    refused = lambda w: is_quantized(w) and not (may and ("int8" in w or "int4" in w))
    if quantized := next((own for own in names if own in p and refused(p[own])), None):
        raise ValueError(
            f"{layer}: expected an array for {what}[{quantized!r}], found {_kept_as(p[quantized])}. Leave it out by "
            "where=..., of what made it."
        )
    if factored := next((own for own in names if own in p and is_factored(p[own])), None):
        raise ValueError(
            f"{layer}: expected an array for {what}[{factored!r}], found a product of two, which linear maps alone "
            "read. Leave it out: low_rank(..., where=...)."
        )
    if "w" in names and "lora" in p:
        raise ValueError(
            f"{layer}: found a 'lora' in {what}, which linear maps alone read. Leave it out: lora_spec(..., where=...)."
        )


def _kept_as(w: Any) -> str:
    if "int8" in w or "int4" in w:
        return "integers with scales, which linear maps, convolutions and embeddings alone read"
    return "a weight whose inputs are in 8 bits or observed, which linear maps alone read"


def is_quantized(w: Any) -> bool:
    """Whether a weight is kept in parts, as `jnn.quantization` makes them: integers with scales, or floats with what is
    done to their inputs."""
    return hasattr(w, "keys") and any(name in w for name in KEPT)


def is_factored(w: Any) -> bool:
    """Whether a weight is the product of two, as `jnn.layers.factor_weight` makes them."""
    return hasattr(w, "keys") and set(w) == {"down", "up"} and not hasattr(w["down"], "keys")


def maps(layer: str, p: Any, *names: str, more: tuple[str, ...] = (), may: tuple[str, ...] = ()) -> None:
    """Raises unless p holds linear maps under these names, each with a "w" and at most a "b", and more."""
    params(layer, p, *names, *more, may=may)
    map_parts(layer, p, *names)


def map_parts(layer: str, parts: Any, *names: str | int, what: str = "params", adapted: bool = True) -> None:
    """Raises unless each of these parts, of a dict or a list, is a map's: a dict with "w", and "b" where it has one.

    Of a layer that multiplies by itself they are not `adapted`, as in `params`.
    """
    for name in names:
        params(layer, parts[name], "w", may=("b",), what=f"{what}[{name!r}]", adapted=adapted)


def _wanted(what: str, names: tuple[str, ...]) -> str:
    return f"expected {what}, a dict with {', '.join(map(repr, names))}"


def drawn(layer: str, p: Any) -> None:
    """Raises if a tree of parameters still holds their declarations."""
    for leaf in jax.tree.leaves(p):
        if isinstance(leaf, Param):
            array(layer, leaf, "each parameter")


def declared(where: str, path: str, x: Any, param: Param) -> None:
    """Raises ValueError unless x has the declared shape; what is traced may be a device's part, of as many axes.

    >>> declared("quantize", "fc/w", np.ones((3, 2)), Param((2, 3), jax.nn.initializers.zeros, ("embed", "hidden")))
    Traceback (most recent call last):
    ValueError: quantize: expected fc/w (2, 3), as the spec declares it, found float64[3,2]. Give what
    jnn.init(spec, key) made.
    """
    part = isinstance(x, jax.core.Tracer) and x.ndim == len(param.shape)
    if np.shape(x) != param.shape and not part:
        raise ValueError(
            f"{where}: expected {path} {param.shape}, as the spec declares it, found {describe(x)}. Give what "
            "jnn.init(spec, key) made."
        )


def by_path(where: str, what: str, found: Any) -> None:
    """Raises TypeError unless what is given by path is a mapping.

    >>> by_path("quantize", "scales", 0.5)
    Traceback (most recent call last):
    TypeError: quantize: expected scales by path, a dict, found float. Patterns of paths are where=...
    """
    if not isinstance(found, Mapping):
        raise TypeError(
            f"{where}: expected {what} by path, a dict, found {describe(found)}. Patterns of paths are where=..."
        )


def _inside(p: Any, own: str, what: str) -> str:
    """Where among the entries of p what is missing may be."""
    holds = lambda x: hasattr(x, "keys") and any(name in x for name in (own, *ELSEWHERE.get(own, ())))
    inside = next((name for name in p if holds(p[name])), None)
    return f" Give the ones of this layer: {what}[{inside!r}]." if inside is not None else ""


def floats(layer: str, x: jax.Array, *, ndim: int = 1) -> None:
    """Raises unless x is a non-empty float array of rank >= ndim."""
    array(layer, x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{layer}: expected floating-point input, found {describe(x)}.{_cast(x, 'float32')}")
    rank(layer, x, ndim)


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


def same_shape(layer: str, **arrays: jax.Array) -> None:
    """Raises unless all arrays have one shape: a loss never broadcasts in silence."""
    for name, a in arrays.items():
        array(layer, a, name)
    if len({a.shape for a in arrays.values()}) > 1:
        found = ", ".join(f"{name} {describe(a)}" for name, a in arrays.items())
        raise ValueError(f"{layer}: expected equal shapes, found {found}.{_add_axis(arrays)}")
    for a in arrays.values():
        rank(layer, a, 0)


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


def _add_axis(arrays: dict[str, jax.Array]) -> str:
    """What to type where one array lacks the last axis, of size 1, of the other."""
    short, long = sorted(arrays, key=lambda name: arrays[name].ndim)[:: len(arrays) - 1]
    missing = (*arrays[short].shape, 1) == arrays[long].shape
    return f" Add the axis of outputs: {short}[..., None]." if missing else ""


def in_range(layer: str, labels: jax.Array, classes: int, *, what: str = "labels", of: str = "classes") -> None:
    """Raises if concrete labels leave 0..classes-1. Under `jit` values are unknown: nothing is checked."""
    _at_most(layer, labels, classes - 1, what, f"{classes} {of}")


def lengths(layer: str, found: jax.Array, most: int, *, of: str, what: str = "lengths") -> None:
    """Raises if concrete lengths leave 0..most, the number of steps, tokens or whatever is counted."""
    _at_most(layer, found, most, what, f"there are {most} {of}")


def _at_most(layer: str, x: jax.Array, most: int, what: str, why: str) -> None:
    if isinstance(x, jax.core.Tracer):
        return
    values = np.asarray(x)  # in NumPy: while something else is traced, even jnp.min(constant) is a tracer
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > most:
        raise ValueError(f"{layer}: expected {what} in 0..{most} ({why}), found {low}..{high}.")


def in_unit_interval(layer: str, what: str, x: jax.Array, *, tolerance: float = 0.0, advice: str = "") -> None:
    """Raises if concrete values leave [0, 1], as NaN does. Under `jit` values are unknown: nothing is checked."""
    if isinstance(x, jax.core.Tracer):
        return
    values = np.asarray(x)
    if not ((values >= -tolerance) & (values <= 1 + tolerance)).all():
        found = f"found values from {values.min()} to {values.max()}"
        raise ValueError(f"{layer}: expected {what} in [0, 1], {found}.{advice}")


def number(layer: str, name: str, value: Any, fits: Callable[[Any], Any], expected: str, *, like: jax.Array) -> Any:
    """A number once it is known to fit, of Python, which widens no dtype; a traced one like `like`, NaN if unfit."""
    if isinstance(value, jax.core.Tracer) and value.ndim == 0:
        value = value.astype(like.dtype)
        return jnp.where(fits(value), value, jnp.nan)
    if np.ndim(value) or isinstance(value, bool | str) or value is None:
        raise TypeError(f"{layer}: expected a number {name} {expected}, found {describe(value)}.")
    if not fits(float(value)):
        raise ValueError(f"{layer}: expected {name} {expected}, found {value}.")
    return float(value) if hasattr(value, "dtype") else value


def noise(layer: str, rate: Any, key: jax.Array | EllipsisType | None) -> jax.Array | None:
    """The key of a dropout by this rate, or None for no noise; raises ValueError for a rate whose key is not said."""
    if not isinstance(key, EllipsisType):
        return key
    if isinstance(rate, jax.core.Tracer) or rate != 0:
        raise ValueError(f"{layer}: a rate of dropout needs a key, or key=None for no noise; found rate={rate}.")
    return None


def count(where: str, name: str, value: Any, *, least: int = 1) -> None:
    """Raises ValueError unless a value is an integer of 1 or more, or of what is the least.

    >>> count("update", "microbatches", 2.0)
    Traceback (most recent call last):
    ValueError: update: expected microbatches of 1 or more, found 2.0, which is no integer.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise ValueError(
            f"{where}: expected {name} of {least} or more, found {value!r}{'' if whole else ', which is no integer'}."
        )


def size(where: str, name: str, value: Any) -> None:
    """Raises ValueError unless a value is the size of an axis: an integer of 1 or more, or one that is symbolic.

    >>> size("attention_cache", "length", 8.0)
    Traceback (most recent call last):
    ValueError: attention_cache: expected length of 1 or more, found 8.0, which is no integer.
    """
    from jax import export

    if not export.is_symbolic_dim(value):
        count(where, name, value)


def divides(where: str, rows: int, *, of: str = "the batch", **parts: int) -> None:
    """Raises ValueError unless the parts of a batch divide its rows.

    >>> divides("train", 24, lanes=8, micro_batches=2)
    Traceback (most recent call last):
    ValueError: train: 8 lanes of 2 micro-batches each do not divide the 24 rows of the batch. Fill up with rows of
    weight 0, or change the batch or the number of lanes or micro-batches.
    """
    if rows % math.prod(parts.values()):
        counts = {name.replace("_", "-"): count for name, count in parts.items() if count > 1}
        each = " each" if len(counts) > 1 else ""
        raise ValueError(
            f"{where}: {' of '.join(f'{count} {name}' for name, count in counts.items())}{each} do not divide the "
            f"{rows} rows of {of}. Fill up with rows of weight 0, or change the batch or the number of "
            f"{' or '.join(counts)}."
        )


def held(where: str, name: str, array: Any) -> None:
    """Raises if JAX would make other integers, or infinities, of these values: 2**40 wraps around in 32 bits.

    >>> held("Batches", "ids", np.array([7, 2**40]))
    Traceback (most recent call last):
    ValueError: Batches: 'ids' holds 1099511627776, first in row 1, beyond the int32 that JAX makes of int64.
    Renumber it, or set jax_enable_x64.
    """
    narrow = jax.dtypes.canonicalize_dtype(array.dtype) if array.dtype.itemsize >= 8 else array.dtype
    if narrow == array.dtype or not array.size:
        return
    if array.dtype.kind in "iu":
        info: Any = np.iinfo(narrow)
        outside = (array < info.min) | (array > info.max)
    else:
        outside = np.abs(array) > np.finfo(narrow).max
    if outside.any():
        first = f", first in row {np.argwhere(outside)[0][0]}" if array.ndim else ""
        raise ValueError(
            f"{where}: {name!r} holds {array[outside][0]}{first}, beyond the {narrow} that JAX makes of {array.dtype}. "
            "Renumber it, or set jax_enable_x64."
        )


def held_all(where: str, batch: Any) -> None:
    """`held` of every NumPy array of a tree."""
    for path, x in jax.tree_util.tree_leaves_with_path(batch):
        if isinstance(x, np.ndarray | np.generic) and x.dtype.kind in "iuf":
            held(where, jax.tree_util.keystr(path, simple=True, separator="/"), np.asarray(x))
