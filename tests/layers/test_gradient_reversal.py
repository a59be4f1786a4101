"""Gradient reversal against torch's autograd, forward derivatives, and what an adversary needs of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.layers import gradient_reversal
from tests.oracle import assert_matches_torch, configurations


class Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.scale = scale
        return x.clone()

    @staticmethod
    def backward(ctx, slope):
        return -ctx.scale * slope, None


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_it_is_torchs_with_the_sign_turned(rng):
    x, scale = rng.normal(size=rng.integers(1, 5, 2)).astype(np.float32), float(rng.uniform(0, 3))
    assert_matches_torch(
        lambda x: jnp.sin(gradient_reversal(x**2, scale)),
        lambda x: torch.sin(Reversal.apply(x**2, scale)),
        [x],
    )


def test_values_are_left_to_the_last_bit_and_forward_derivatives_are_turned_too():
    x = jnp.array([0.0, -0.0, 1e38, -1e-38, jnp.inf])
    np.testing.assert_array_equal(jax.jit(gradient_reversal)(x).view(jnp.int32), x.view(jnp.int32))
    _, tangent = jax.jvp(lambda x: gradient_reversal(x, 2.0), (x,), (jnp.ones(5),))
    np.testing.assert_array_equal(tangent, -2)


def test_a_scale_for_each_of_several_networks():
    scales = jnp.array([0.0, 1.0, 2.0])
    slope = jax.vmap(jax.grad(lambda x, scale: 3 * gradient_reversal(x, scale)), (None, 0))(1.0, scales)
    np.testing.assert_array_equal(slope, [0, -3, -6])
    assert jax.grad(lambda scale: gradient_reversal(jnp.ones(()), scale))(1.0) == 0


def test_integers_have_no_gradient_to_turn():
    with pytest.raises(TypeError, match="gradient_reversal: expected floating-point"):
        gradient_reversal(jnp.arange(3))
