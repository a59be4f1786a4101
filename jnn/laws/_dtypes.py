"""Laws of dtypes: what comes in is what goes out, sums are wide, and every gradient is finite."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.laws._block import Block, value_and_gradient
from jnn.laws._close import assert_close
from jnn.laws._equations import equations
from jnn.param import flatten


def dtype_in_is_dtype_out(block: Block) -> None:
    """Law 7: bfloat16 gives bfloat16, and about what float32 gives; of integers alone anything may come."""
    inputs = block.inputs(8)
    if not any(x.dtype == np.float32 for x in jax.tree.leaves((block.params, inputs))):
        return
    wide, _ = block.differentiated(block.params, *inputs)
    low = block.compiled(*_in_bfloat16((block.params, *inputs)), key=block.key)
    dtypes = [(a.dtype, b.dtype) for a, b in zip(jax.tree.leaves(wide), jax.tree.leaves(low), strict=True)]
    if wrong := [
        pair for pair in dtypes if pair not in [(jnp.float32, jnp.bfloat16), (np.int32,) * 2, (np.bool_,) * 2]
    ]:
        raise AssertionError(f"of float32 and of bfloat16 the outputs are {wrong[0][0]} and {wrong[0][1]}")
    if not block.noisy:
        back = jax.tree.map(lambda x, like: x.astype(like.dtype), low, wide)
        assert_close(back, wide, tolerance=0.08, what="in bfloat16 and in float32")


def float64_stays_float64(block: Block) -> None:
    """Law 7: with `jax_enable_x64` nothing is computed in fewer bits, forwards or backwards."""
    with jax.enable_x64(True):
        wide = lambda x: jax.ShapeDtypeStruct(x.shape, np.float64 if x.dtype == np.float32 else x.dtype)
        params = jax.tree.map(wide, block.params)
        inputs = [wide(x) for x in block.inputs(1)]
        apply = functools.partial(block.apply, key=block.key)
        jaxpr = jax.make_jaxpr(functools.partial(value_and_gradient, apply))(params, *inputs)
    narrow = (np.float16, np.float32, jnp.bfloat16)
    for eqn in equations(jaxpr.jaxpr):
        if found := [v.aval for v in eqn.outvars if getattr(v.aval, "dtype", None) in narrow]:
            raise AssertionError(f"{eqn.primitive} makes {found[0].str_short()} of what came in as float64")


def long_sums_are_wide(block: Block) -> None:
    """Law 7: in bfloat16 the gradient of a batch and its copies is that of the batch, times how often it is there."""
    rows, copies = 4, 512
    params, inputs = _in_bfloat16((block.params, block.inputs(rows)))
    inputs = [np.tile(x, (copies, *[1] * (x.ndim - 1))) for x in inputs]

    def counted(params: Any, inputs: Any, weight: Any) -> Any:  # arguments: XLA would compute with constants
        out = [x for x in jax.tree.leaves(block.apply(params, *inputs, key=None)) if x.shape[:1] == weight.shape]
        flat = [x.reshape(len(weight), -1).astype(jnp.float32) for x in out]
        return sum(weight @ x @ (1.5 + np.cos(np.arange(x.shape[1], dtype=np.float32))) for x in flat)

    gradient = jax.jit(jax.grad(counted, allow_int=True))
    first = np.repeat(np.eye(copies, dtype=np.float32)[0], rows)
    whole, once = (_of_floats(gradient(params, inputs, weight)) for weight in (np.ones_like(first), first))
    distance = {path: _norm(whole[path], once[path], copies) for path in whole}
    allowed = {path: 2**-8 * copies * _norm(once[path]) for path in whole}
    if all(distance[path] <= allowed[path] for path in whole):
        return
    # terms may cancel, as before a normalization: then one copy's gradient is off by more than that, or but rounding
    exact = _of_floats(gradient(*jax.tree.map(_in_float32, (params, inputs)), first))
    for path, found in distance.items():
        rounding = _norm(once[path], exact[path])
        if _norm(exact[path]) > rounding and found > allowed[path] + copies * rounding:
            raise AssertionError(
                f"in bfloat16 the gradient of {path} loses what {copies} copies of a batch add to it; let it meet rows "
                "in float32, by jnn.precision: add_bias, take, or wide(x) * p"
            )


def _of_floats(gradient: Any) -> dict[str, Any]:
    """By path; integers have none."""
    return {path: x for path, x in flatten(gradient).items() if x.dtype != jax.dtypes.float0}


def _norm(a: Any, b: Any = 0.0, times: float = 1.0) -> float:
    """Of a less so many times b."""
    return float(np.linalg.norm(np.asarray(a, np.float64) - times * np.asarray(b, np.float64)))


def gradients_are_finite(block: Block) -> None:
    """Law 7: outputs and gradients are finite at zero, where all inputs are one number, and at ten thousand."""
    for value in (0.0, 1.0, 1e4):
        inputs = [jnp.full_like(x, value) if jnp.issubdtype(x.dtype, jnp.floating) else x for x in block.inputs(8)]
        found = block.differentiated(block.params, *inputs)
        if not all(np.isfinite(np.asarray(x, np.float64)).all() for x in jax.tree.leaves(found)):
            raise AssertionError(f"where all inputs are {value:g}, an output or a gradient is not finite")


def _in_float32(x: Any) -> Any:
    return x.astype(np.float32) if x.dtype == jnp.bfloat16 else x


def _in_bfloat16(tree: Any) -> Any:
    """Its float32 arrays in bfloat16: cast by NumPy, for which nothing is compiled."""
    return jax.tree.map(lambda x: np.asarray(x).astype(jnp.bfloat16) if x.dtype == np.float32 else x, tree)
