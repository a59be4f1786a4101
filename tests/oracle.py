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
    ours: Callable[..., Any], theirs: Callable[..., Any], arrays: Sequence[np.ndarray], tolerance: float = 1e-4
) -> None:
    """Asserts equal outputs, and equal gradients of a random projection of them for every float input.

    Args:
      ours: of jax arrays, returns an array.
      theirs: of torch tensors, returns a tensor in the same layout.
      arrays: the inputs of both.
    """
    tensors = [torch.tensor(a, requires_grad=bool(np.issubdtype(a.dtype, np.floating))) for a in arrays]
    expected = theirs(*tensors)
    direction = np.random.default_rng(0).normal(size=tuple(expected.shape)).astype(np.float32)
    (expected * torch.tensor(direction)).sum().backward()

    def projected(*args: jax.Array) -> tuple[jax.Array, jax.Array]:
        out = ours(*args)
        assert out.shape == direction.shape, f"ours {out.shape}, torch {direction.shape}"
        return jnp.sum(out * direction), out

    which = tuple(i for i, a in enumerate(arrays) if np.issubdtype(a.dtype, np.floating))
    (_, out), grads = jax.jit(jax.value_and_grad(projected, argnums=which, has_aux=True))(*arrays)
    near = loosened(rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(out, expected.detach().numpy(), **near)
    for i, grad in zip(which, grads, strict=True):
        theirs_grad = tensors[i].grad
        wanted = np.zeros_like(arrays[i]) if theirs_grad is None else theirs_grad.numpy()
        scale = max(1.0, float(np.abs(wanted).max()))
        near = loosened(rtol=tolerance, atol=tolerance * scale)
        np.testing.assert_allclose(grad, wanted, **near, err_msg=f"gradient of {i}")
