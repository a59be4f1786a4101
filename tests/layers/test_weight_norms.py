"""Weight and spectral normalization, weight standardization: against torch, Flax and NumPy's singular values."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init, layers
from jnn.param import Param
from tests.layers.channels import normals
from tests.oracle import assert_matches_torch, configurations


def weight_shape(rng):
    """Of a map or a convolution: axes of inputs, and of outputs."""
    ins, outs = (rng.integers(1, 6, rng.integers(1, most)).tolist() for most in (5, 3))
    return (ins[0] + 1, *ins[1:]), tuple(outs)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_weight_norm_matches_torch(rng):
    ins, outs = weight_shape(rng)
    scaled = len(outs) > 1 or bool(rng.integers(2))
    rows = int(np.prod(outs))
    assert_matches_torch(
        lambda v, g: layers.weight_norm({"direction": v, **({"scale": g} if scaled else {})}),
        # torch normalizes along its first axis: all outputs, one after another
        lambda v, g: torch._weight_norm(
            v.reshape(-1, rows).T, (g if scaled else torch.ones_like(g)).reshape(rows, 1), 0
        ).T.reshape(v.shape),
        normals(rng, (*ins, *outs), outs),
    )


def test_weight_norm_begins_with_the_declared_lengths():
    spec = layers.weight_norm_spec(layers.conv_spec(3, 5, (3, 3))["w"], init=jax.nn.initializers.constant(2.0))
    w = layers.weight_norm(init(spec, jax.random.key(0)))
    np.testing.assert_allclose(np.linalg.norm(np.asarray(w).reshape(-1, 5), axis=0), 2, rtol=1e-5)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_weight_standardization_matches_torch(rng):
    """In float64: of few inputs it is steep."""
    ins, outs = weight_shape(rng)
    epsilon, axes = 10 ** float(rng.uniform(-10, -2)), tuple(range(len(ins)))

    def theirs(w):
        var, mean = torch.var_mean(w, axes, correction=0, keepdim=True)
        return (w - mean) / (var + epsilon).sqrt()

    ours = lambda w: layers.weight_standardization(w, out_axes=len(outs), epsilon=epsilon)
    with jax.enable_x64(True):
        assert_matches_torch(ours, theirs, [rng.normal(1, 2, (*ins, *outs))], tolerance=1e-7)


def test_spectral_norm_matches_flax():
    w, u = normals(np.random.default_rng(0), (3, 2, 5), (5,))
    w += 2  # one singular value stands out
    state = {
        "params": {"layer_instance": {"kernel": w.reshape(6, 5)}},
        "batch_stats": {"layer_instance/kernel/u": u[None], "layer_instance/kernel/sigma": np.float32(1)},
    }

    def theirs(steps):
        layer = flax.linen.SpectralNorm(flax.linen.Dense(5, use_bias=False), n_steps=steps, epsilon=1e-12)
        y, new = layer.apply(state, jnp.eye(6), update_stats=True, mutable=["batch_stats"])
        return y, new["batch_stats"]["layer_instance/kernel/u"][0]

    @jax.jit
    def both(w, u):
        ours = [layers.spectral_norm(w, u, steps=steps) for steps in (1, 6)]
        return ours, [theirs(steps) for steps in (1, 6)]

    (ours, ours_later), (flaxs, flaxs_later) = both(w, u)
    np.testing.assert_allclose(ours[1], flaxs[1], rtol=1e-4, atol=1e-5)
    # Flax's singular value is of the left vector before, so that weights agree once they have converged
    np.testing.assert_allclose(ours_later[0].reshape(6, 5), flaxs_later[0], rtol=1e-4, atol=1e-5)


def test_spectral_norm_divides_by_the_singular_value_and_so_does_its_gradient():
    """Of vectors that have converged, NumPy's: torch keeps the left one, and updates it in another order."""
    (w,) = normals(np.random.default_rng(1), (6, 5))
    left, _, right = np.linalg.svd(w.astype(np.float64))
    fixed, u = torch.tensor(left[:, 0], dtype=torch.float64), right[0]
    assert_matches_torch(
        lambda w: layers.spectral_norm(w, u)[0],
        lambda w: w / (fixed @ w @ torch.tensor(u, dtype=torch.float64)),
        [w],
        tolerance=1e-3,
    )


def test_nothing_is_divided_by_zero():
    zero = jnp.zeros((3, 2))
    calls = {
        "weight": lambda w: layers.weight_norm({"direction": w}),
        "spectral": lambda w: layers.spectral_norm(w, jnp.ones(2))[0],
        "standard": layers.weight_standardization,
    }
    for name, call in calls.items():
        value, grad = jax.jit(jax.value_and_grad(lambda w, call=call: call(w).sum()))(zero)
        assert value == 0, name
        assert np.isfinite(grad).all(), name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: layers.weight_norm_spec(Param((3, 2), init, ("a", "b"))),
            r"weight_norm_spec: expected a weight whose",
        ),
        (lambda: layers.weight_norm({"scale": jnp.ones(2)}), r"weight_norm: expected params, a dict with 'direction'"),
        (
            lambda: layers.weight_norm({"direction": jnp.ones((3, 2)), "scale": jnp.ones(3)}),
            r"weight_norm: its parameters expect input \[...,3\]",
        ),
        (lambda: layers.spectral_norm(jnp.ones((3, 2)), jnp.ones(3)), r"spectral_norm: expected u of the shape of w's"),
        (lambda: layers.weight_standardization(jnp.ones(3)), r"weight_standardization: expected an array of rank 2"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
