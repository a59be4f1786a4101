"""Norms of images and vectors, by a batch, and by a condition: against torch and Flax, and by their laws; bad input."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import layers
from tests.layers.channels import first, last, normals
from tests.oracle import assert_matches_torch, configurations

F = torch.nn.functional


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_vector_and_response_norms_match_torch(rng):
    c, size, epsilon = int(rng.integers(2, 7)), int(rng.integers(1, 6)), float(10 ** rng.uniform(-6, -1))
    x, scale, bias, threshold = normals(rng, (2, 4, 3, c), (c,), (c,), (c,))
    assert_matches_torch(layers.unit_norm, lambda x: F.normalize(x, dim=-1), [x])
    assert_matches_torch(
        lambda x: layers.local_response_norm(x, size, alpha=0.3, beta=0.6, k=1.5),
        lambda x: last(F.local_response_norm(first(x), size, 0.3, 0.6, 1.5)),
        [x],
    )

    def theirs(x, s, b, t):
        normal = x / (x.square().mean((1, 2), keepdim=True) + epsilon).sqrt()
        return torch.maximum(normal * s + b, t)

    assert_matches_torch(
        lambda x, s, b, t: layers.filter_response_norm({"scale": s, "bias": b, "threshold": t}, x, epsilon=epsilon),
        theirs,
        [x, scale, bias, threshold],
    )


def test_unit_norm_over_the_whole_range():
    x = jnp.array([[3e38, -3e38], [1e-37, 1e-37], [0.0, 0.0]])
    value, grad = jax.jit(lambda x: (layers.unit_norm(x), jax.grad(lambda x: layers.unit_norm(x)[:, 0].sum())(x)))(x)
    np.testing.assert_allclose(value, [[0.5**0.5, -(0.5**0.5)], [0.5**0.5] * 2, [0, 0]], rtol=1e-5)
    assert np.isfinite(grad).all()


def test_batch_renorm_by_its_definition():
    rng = np.random.default_rng(0)
    x, scale, bias, mean = normals(rng, (8, 3, 4), (4,), (4,), (4,))
    var = rng.uniform(0.01, 30, 4).astype(np.float32)
    r_max, d_max, epsilon = 1.5, 0.5, 1e-3

    def theirs(x, s, b):
        own_var, own_mean = torch.var_mean(x, (0, 1), correction=0)
        std, running = (own_var + epsilon).sqrt(), (torch.tensor(var, dtype=torch.float64) + epsilon).sqrt()
        r = (std / running).clamp(1 / r_max, r_max).detach()
        d = ((own_mean - torch.tensor(mean, dtype=torch.float64)) / running).clamp(-d_max, d_max).detach()
        return ((x - own_mean) / std * r + d) * s + b

    def ours(x, s, b):
        running = {"mean": mean, "var": var}
        return layers.batch_renorm({"scale": s, "bias": b}, x, running, r_max=r_max, d_max=d_max, epsilon=epsilon)[0]

    assert_matches_torch(ours, theirs, [x, scale, bias])


def test_batch_renorm_between_its_two_extremes():
    x, mean, var = normals(np.random.default_rng(0), (6, 3), (3,), (3,))
    running = {"mean": mean, "var": np.abs(var) + 0.1}
    own, stats = layers.batch_norm({}, x)
    same, found = layers.batch_renorm({}, x, running, r_max=1.0, d_max=0.0)
    np.testing.assert_allclose(same, own, rtol=1e-5, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, found, stats)
    given, _ = layers.batch_norm({}, x, running)
    np.testing.assert_allclose(
        layers.batch_renorm({}, x, running, r_max=1e9, d_max=1e9)[0], given, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("rng", configurations(seed=1, fast=(0,)), ids=range(20))
def test_conditional_norms_match_torch(rng):
    c, d = rng.integers(3, 6, 2)  # the norm of two features is steep
    x, condition, w, b = normals(rng, (2, 4, 3, c), (2, d), (d, 3, c), (3, c))
    modulation = lambda w, b, condition: (torch.einsum("bd,dpc->pbc", condition, w) + b[:, None])[:, :, None, None]

    def film(x, condition, w, b):
        scale, offset, _ = modulation(w, b, condition)
        return (1 + scale) * x + offset

    def ada_zero(x, condition, w, b):
        y = film(F.layer_norm(x, (int(c),), eps=1e-6), condition, w, b)
        return x + modulation(w, b, condition)[2] * y

    def ours_zero(x, condition, w, b):
        y, gate = layers.ada_layer_norm_zero({"w": w, "b": b}, x, condition)
        return x + gate * y

    two = lambda layer: lambda x, condition, w, b: layer({"w": w[:, :2], "b": b[:2]}, x, condition)
    ada = lambda x, *rest: film(F.layer_norm(x, (int(c),), eps=1e-6), *rest)
    for ours, theirs in ((two(layers.film), film), (two(layers.ada_layer_norm), ada), (ours_zero, ada_zero)):
        assert_matches_torch(ours, theirs, [x, condition, w, b])


def test_ada_instance_norm_matches_torch():
    def theirs(x, style):
        var, mean = torch.var_mean(style, (1, 2), correction=0, keepdim=True)
        return last(F.instance_norm(first(x))) * (var + 1e-5).sqrt() + mean

    arrays = normals(np.random.default_rng(0), (2, 4, 3, 5), (2, 3, 6, 5))
    assert_matches_torch(layers.ada_instance_norm, theirs, arrays)


def test_conditional_norms_begin_as_if_there_were_no_condition():
    x, condition = normals(np.random.default_rng(0), (2, 3, 4), (2, 5))
    zeros = lambda spec: jax.tree.map(lambda p: p.draw(jax.random.key(0)), spec)
    p = zeros(layers.film_spec(5, 4))
    np.testing.assert_array_equal(layers.film(p, x, condition), x)
    np.testing.assert_allclose(
        layers.ada_layer_norm(p, x, condition), layers.layer_norm({}, x, epsilon=1e-6), rtol=1e-5, atol=1e-6
    )
    _, gate = layers.ada_layer_norm_zero(zeros(layers.ada_layer_norm_zero_spec(5, 4)), x, condition)
    np.testing.assert_array_equal(gate, np.zeros((2, 1, 4)))


def test_unit_norm_of_nan_is_nan():
    assert jnp.isnan(layers.unit_norm(jnp.array([[jnp.nan, 1.0]]))).all()


def test_unit_norm_of_weights_is_flaxs():
    (x,) = normals(np.random.default_rng(0), (4, 6))
    theirs = flax.linen.WeightNorm(flax.linen.Dense(3, use_bias=False), use_scale=False, epsilon=0.0)
    variables = theirs.init(jax.random.key(0), x)
    w = variables["params"]["layer_instance"]["kernel"]
    np.testing.assert_allclose(x @ layers.unit_norm(w, 0), theirs.apply(variables, x), rtol=1e-4, atol=1e-5)


X, C = jnp.ones((4, 4, 3)), jnp.ones((4, 2))
FILM = {"w": jnp.ones((2, 2, 3))}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.unit_norm(X.astype(int)), TypeError, r"unit_norm: expected floating-point input"),
        (lambda: layers.local_response_norm(X, 0), ValueError, r"local_response_norm: expected size >= 1 and k > 0"),
        (lambda: layers.filter_response_norm({"scale": jnp.ones(2)}, X), ValueError, r"its parameters expect input"),
        (lambda: layers.filter_response_norm({}, X[0, 0]), ValueError, r"expected an array of rank 3 or more"),
        (
            lambda: layers.batch_renorm({}, X, {"mean": jnp.ones(3)}),
            ValueError,
            r"batch_renorm: expected running, a dict",
        ),
        (lambda: layers.batch_renorm({}, X, {"mean": C[0], "var": C[0]}), ValueError, r"its parameters expect input"),
        (lambda: layers.film(FILM, X, X), ValueError, r"film: its parameters expect input \[...,2\]"),
        (lambda: layers.film(FILM, X[:3], C), ValueError, r"film: the leading axes of the condition"),
        (lambda: layers.film(FILM, C, C), ValueError, r"film: expected w \(d_condition, 2, 2\)"),
        (
            lambda: layers.ada_layer_norm_zero(FILM, X, C),
            ValueError,
            r"Declare it by ada_layer_norm_zero_spec\(d_cond",
        ),
        (
            lambda: layers.ada_instance_norm(X, X[..., :2]),
            ValueError,
            r"ada_instance_norm: expected images that differ",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
