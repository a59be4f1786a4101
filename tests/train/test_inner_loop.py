"""MAML's inner loop: descent by hand, gradients through it by differences, dtypes, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.train import inner_loop


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_adapted_params_and_the_gradient_through_them_are_torchs(steps):
    rng = np.random.default_rng(steps)
    x, y, w, b = (rng.normal(size=size).astype(np.float32) for size in ((6, 3), (6,), (3,), ()))

    def ours(params):
        loss = lambda p: jnp.mean((jnp.tanh(x @ p["w"]) + p["b"] - y) ** 2)
        adapted = inner_loop(loss, params, steps=steps, learning_rate=0.3)
        return loss(adapted) + jnp.sum(adapted["w"] ** 3)

    theirs = [torch.tensor(value, requires_grad=True) for value in (w, b)]
    loss = lambda w, b: ((torch.as_tensor(x) @ w).tanh() + b - torch.as_tensor(y)).square().mean()
    adapted = theirs
    for _ in range(steps):
        gradients = torch.autograd.grad(loss(*adapted), adapted, create_graph=True)
        adapted = [value - 0.3 * gradient for value, gradient in zip(adapted, gradients, strict=True)]
    expected = loss(*adapted) + (adapted[0] ** 3).sum()
    gradients = torch.autograd.grad(expected, theirs)
    value, found = jax.value_and_grad(ours)({"w": jnp.asarray(w), "b": jnp.asarray(b)})
    np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
    for name, gradient in zip("wb", gradients, strict=True):
        np.testing.assert_allclose(found[name], gradient, rtol=1e-4, atol=1e-5)


def test_params_keep_their_dtype():
    params = {"w": jnp.ones(2, jnp.bfloat16)}
    rate = jnp.float32(0.5)
    assert inner_loop(lambda p: jnp.sum(p["w"]), params, steps=1, learning_rate=rate)["w"].dtype == jnp.bfloat16


def test_bad_input_is_one_clear_error():
    with pytest.raises(ValueError, match=r"inner_loop: expected steps of descent, 0 or more, found -1"):
        inner_loop(lambda p: p, jnp.ones(()), steps=-1, learning_rate=0.1)
    with pytest.raises(TypeError):
        inner_loop(lambda p: p, jnp.ones(2), steps=1, learning_rate=0.1)
