"""Somebody else's arrays, as the params of a spec."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jnn.param._declare import Param, Params, Rules, Spec, check_spec
from jnn.param._dtypes import cast, first_lost, within_x64
from jnn.param._maps import abstract
from jnn.param._misfits import array_type, misfit, misfits
from jnn.param._paths import flatten, map_paths


def load(spec: Spec, arrays: Any, *, mesh: Mesh | None = None, rules: Rules | None = None) -> Params:
    """Pre-trained weights: params from somebody else's arrays, a nested tree, or a flat dict by path.

    An array of the declared dtype is taken bit for bit. Another one is cast: integers exactly, floating-point numbers
    to the nearest that there is. What has a shape, a dtype and `__array__`, such as what `jnn.data.read_gguf` gives, is
    read one array at a time, and twice where it is cast. The params share no memory with what they are made of.

    Raises:
      TypeError: spec is none, or arrays are one.
      ValueError: lists everything missing, extra, misshapen, of another kind (floats for integers, complex for real
        ones), too large for the declared dtype, or unreadable for NumPy, before anything is allocated.

    >>> spec = {"b": Param((2,), jax.nn.initializers.zeros, ("hidden",), np.float16)}
    >>> load(spec, {"b": np.array([1.0, 1e6])})
    Traceback (most recent call last):
    ValueError: The arrays do not fit the spec:
      out of range: b holds 1000000.0 at (1,), which float16 cannot
    """
    check_spec("load", spec)
    want, have = flatten(abstract(spec, mesh=mesh, rules=rules)), flatten(arrays)
    if found := [path for path, x in have.items() if isinstance(x, Param)]:
        raise TypeError(f"load: expected arrays, found a Param at {found[0]!r}. jnn.init(spec, key) draws arrays.")
    seen, problems = _seen(have, want)
    told = {path: like for path, like in want.items() if path in seen or path not in have}
    problems += misfits(seen, told, cast=True)
    fitting = [path for path in told if path in seen and not misfit(path, seen[path], want[path], cast=True)]
    problems += [line for path in fitting if (line := _lost(path, have[path], within_x64(want[path].dtype)))]
    if problems:
        raise ValueError("The arrays do not fit the spec:\n  " + "\n  ".join(sorted(problems)))
    return map_paths(lambda path, _: _placed(have[path], want[path]), spec)


def _placed(x: Any, like: jax.ShapeDtypeStruct) -> jax.Array:
    """On the device, and no longer on the host: the next one comes when this has gone."""
    given = x if _dtype(x) is not None else np.asarray(x)
    own = np.array(given) if given.dtype == like.dtype else np.asarray(given)  # a CPU's memory JAX would share
    return jax.block_until_ready(jax.device_put(cast(own, like.dtype), like.sharding))


def _seen(have: dict[str, Any], want: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What there is by path, and a line, in the words of the library that it is of, on each that NumPy cannot read."""
    seen, lines = {}, []
    for path, x in have.items():
        try:
            seen[path] = _abstract(x) if path in want and hasattr(x, "dtype") else x
        except Exception as error:  # whatever another library raises
            lines.append(f"unreadable: {path} {array_type(x)}: {' '.join(str(error).split())}")
    return seen, lines


def _abstract(x: Any) -> jax.ShapeDtypeStruct:
    """Of what NumPy makes of it: a tensor of torch has a dtype of its own. What says it by itself is not read."""
    x = x if _dtype(x) is not None and hasattr(x, "__array__") else np.asarray(x)
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def _dtype(x: Any) -> np.dtype[Any] | None:
    """The dtype that x says it has, if it is one of NumPy's."""
    dtype = getattr(x, "dtype", None)
    return dtype if isinstance(dtype, np.dtype) else None


def _lost(path: str, x: Any, dtype: np.dtype) -> str:
    """What the declared dtype cannot hold of an array, if there is anything."""
    if _dtype(x) == dtype:
        return ""
    x = np.asarray(x)
    where = first_lost(x, dtype)
    return "" if where is None else f"out of range: {path} holds {x[where]} at {where}, which {dtype} cannot"
