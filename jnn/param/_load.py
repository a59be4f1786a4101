"""Somebody else's arrays, as the params of a spec."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jnn.param._declare import Param, Params, Rules, Spec, check_spec
from jnn.param._dtypes import cast, dtype_kind, first_lost, within_x64
from jnn.param._maps import abstract
from jnn.param._paths import flatten, map_paths


def load(spec: Spec, arrays: Any, *, mesh: Mesh | None = None, rules: Rules | None = None) -> Params:
    """Pre-trained weights: params from somebody else's arrays, a nested tree, or a flat dict by path.

    An array of the declared dtype is taken bit for bit. Another one is cast: integers exactly, floating-point numbers
    to the nearest that there is.

    Raises:
      TypeError: spec is none, or arrays are one.
      ValueError: lists everything missing, unused, misshapen, of another kind (floats for integers, complex for real
        ones) or too large for the declared dtype, before anything is allocated.

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
    problems = [f"missing: {path} {want[path].shape}" for path in want if path not in have]
    problems += [f"unused: {path} {np.shape(have[path])}" for path in have if path not in want]
    problems += [p for path in want.keys() & have.keys() for p in _misfits(path, have[path], want[path])]
    if problems:
        raise ValueError("The arrays do not fit the spec:\n  " + "\n  ".join(sorted(problems)))
    put = lambda path, s: jax.device_put(cast(np.asarray(have[path]), s.dtype), s.sharding)
    return map_paths(lambda path, _: put(path, want[path]), spec)


def _misfits(path: str, x: Any, want: jax.ShapeDtypeStruct) -> list[str]:
    """What is wrong with one array, if anything is."""
    x, dtype = np.asarray(x), within_x64(want.dtype)
    if x.shape != want.shape:
        return [f"misshapen: {path} is {x.shape}, the spec says {want.shape}"]
    if dtype_kind(x.dtype) > dtype_kind(dtype):
        return [f"mistyped: {path} is {x.dtype}, the spec says {dtype}"]
    where = first_lost(x, dtype)
    return [] if where is None else [f"out of range: {path} holds {x[where]} at {where}, which {dtype} cannot"]
