"""Comparison with an oracle: values and gradients of the same function in jnn and in torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tests.tolerance import loosened

NEAR = {"float64": 1e-9, "float32": 1e-5, "bfloat16": 2e-2}  # of the largest value of the reference, and of 1


def configurations(n: int = 20, seed: int = 0, fast: Collection[int] | None = None) -> list[Any]:
    """One generator per random configuration: `@pytest.mark.parametrize("rng", configurations(), ids=range(20))`.

    Each is a program to compile: where `fast` names a few that reach every branch between them, the others are slow.
    `pytest --seed 1` makes others of them.
    """
    rngs = [np.random.default_rng((seed, i, int(os.environ["JNN_SEED"]))) for i in range(n)]
    often = range(n) if fast is None else fast
    return [rng if i in often else pytest.param(rng, marks=pytest.mark.slow) for i, rng in enumerate(rngs)]


def assert_matches_flax(ours: Callable[[dict, jax.Array], jax.Array], theirs: Any, x: jax.Array) -> None:
    """A layer of one kernel and one bias, `ours(p, x)`, against a Linen module with its own initial values."""

    @jax.jit
    def both(key, x):
        p = theirs.init(key, x)["params"]
        return ours({"w": p["kernel"], "b": p["bias"]}, x), theirs.apply({"params": p}, x)

    np.testing.assert_allclose(*both(jax.random.key(1), x), rtol=1e-4, atol=1e-5)


def assert_matches_torch(
    ours: Callable[..., Any], theirs: Callable[..., Any], arrays: Sequence[np.ndarray], tolerance: float | None = None
) -> None:
    """Asserts equal outputs, and equal gradients of a random projection of them for every float input.

    Ours is computed in the dtype that `pytest --oracle-dtype` names, torch's in float64, of the same numbers.

    Args:
      ours: of jax arrays, returns an array.
      theirs: of torch tensors, returns a tensor in the same layout.
      arrays: the inputs of both; those in float64 stay so.
      tolerance: how much of the reference's largest value ours may be off; by default, and where another dtype is
        named, as `NEAR` has it.
    """
    arrays = [np.asarray(a) for a in arrays]
    floats = [i for i, a in enumerate(arrays) if np.issubdtype(a.dtype, np.floating)]
    exact = any(arrays[i].dtype == np.float64 for i in floats)
    dtype = jnp.dtype("float64" if exact else os.environ["JNN_ORACLE_DTYPE"])
    near = tolerance if tolerance and (exact or dtype == jnp.float32) else NEAR[dtype.name]
    arrays = [a.astype(dtype) if i in floats else a for i, a in enumerate(arrays)]
    expected, wanted, direction = _of_torch(theirs, arrays, floats)

    def projected(*args: jax.Array) -> tuple[jax.Array, jax.Array]:
        out = ours(*args)
        assert out.shape == direction.shape, f"ours {out.shape}, torch {direction.shape}"
        return jnp.sum(out * direction.astype(out.dtype)), out

    with jax.enable_x64(dtype == jnp.float64):
        (_, out), grads = jax.jit(jax.value_and_grad(projected, argnums=tuple(floats), has_aux=True))(*arrays)
    _assert_near(out, expected, near, "outputs")
    for i, grad, reference in zip(floats, grads, wanted, strict=True):
        _assert_near(grad, reference, near, f"gradient of {i}")


def _of_torch(theirs: Callable[..., Any], arrays: Sequence[np.ndarray], floats: list[int]) -> tuple[Any, Any, Any]:
    """Outputs in float64, gradients of their random projection for the arrays that are floats, and the projection."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        wide = [a.astype(np.float64) if i in floats else a for i, a in enumerate(arrays)]
        tensors = [torch.tensor(a, requires_grad=i in floats) for i, a in enumerate(wide)]
        expected = theirs(*tensors)
        direction = np.random.default_rng(0).normal(size=tuple(expected.shape))
        (expected * torch.tensor(direction)).sum().backward()
    finally:
        torch.set_default_dtype(before)
    grads = [tensors[i].grad for i in floats]
    zeros = [np.zeros_like(wide[i]) for i in floats]
    return (
        expected.detach().numpy(),
        [z if g is None else g.numpy() for g, z in zip(grads, zeros, strict=True)],
        direction,
    )


def _assert_near(found: jax.Array, reference: np.ndarray, near: float, what: str) -> None:
    largest = max(1.0, float(np.abs(reference).max(initial=0)))
    tolerances = loosened(rtol=0, atol=near * largest)
    np.testing.assert_allclose(np.asarray(found, np.float64), reference, **tolerances, err_msg=what)
