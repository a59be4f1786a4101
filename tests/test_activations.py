"""Every activation that torch has, values and gradients; the others against their definitions."""

import inspect
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
import torch.nn.functional as F

import jnn
from jnn import activations as A
from tests.oracle import assert_matches_torch, configurations

# ours, torch's: of one array (..., even)
TABLE = {
    "celu": (lambda x: A.celu(x, 0.7), lambda x: F.celu(x, 0.7)),
    "crelu": (A.crelu, lambda x: torch.cat([x.relu(), (-x).relu()], -1)),
    "elu": (lambda x: A.elu(x, 0.7), lambda x: F.elu(x, 0.7)),
    "geglu": (A.geglu, lambda x: F.gelu(x.chunk(2, -1)[0]) * x.chunk(2, -1)[1]),
    "gelu": (lambda x: A.gelu(x, approximate=False), F.gelu),
    "gelu-tanh": (A.gelu, lambda x: F.gelu(x, approximate="tanh")),
    "glu": (A.glu, F.glu),
    "hard_shrink": (lambda x: A.hard_shrink(x, 0.8), lambda x: F.hardshrink(x, 0.8)),
    "hard_sigmoid": (A.hard_sigmoid, F.hardsigmoid),
    "hard_silu": (A.hard_silu, F.hardswish),
    "hard_swish": (A.hard_swish, F.hardswish),
    "hard_tanh": (A.hard_tanh, F.hardtanh),
    "heaviside": (A.heaviside, lambda x: (x > 0) + 0 * x),
    "identity": (A.identity, lambda x: x * 1),
    "leaky_relu": (lambda x: A.leaky_relu(x, 0.2), lambda x: F.leaky_relu(x, 0.2)),
    "log_sigmoid": (A.log_sigmoid, F.logsigmoid),
    "log_softmax": (A.log_softmax, lambda x: F.log_softmax(x, -1)),
    "maxout": (lambda x: A.maxout(x, 2), lambda x: x.unflatten(-1, (-1, 2)).amax(-1)),
    "mish": (A.mish, F.mish),
    "quick_gelu": (A.quick_gelu, lambda x: x * torch.sigmoid(1.702 * x)),
    "reglu": (A.reglu, lambda x: F.relu(x.chunk(2, -1)[0]) * x.chunk(2, -1)[1]),
    "relu": (A.relu, F.relu),
    "relu6": (A.relu6, F.relu6),
    "rrelu": (lambda x: A.rrelu(x, key=None), lambda x: F.rrelu(x, training=False)),
    "selu": (A.selu, F.selu),
    "sigmoid": (A.sigmoid, F.sigmoid),
    "silu": (A.silu, F.silu),
    "snake": (lambda x: A.snake(x, 2.0), lambda x: x + torch.sin(2 * x) ** 2 / 2),
    "soft_shrink": (lambda x: A.soft_shrink(x, 0.8), lambda x: F.softshrink(x, 0.8)),
    "soft_sign": (A.soft_sign, F.softsign),
    "softmax": (A.softmax, lambda x: F.softmax(x, -1)),
    "softmin": (A.softmin, lambda x: F.softmin(x, -1)),
    "softplus": (A.softplus, F.softplus),
    "squareplus": (A.squareplus, lambda x: (x + torch.sqrt(x**2 + 4)) / 2),
    "swiglu": (A.swiglu, lambda x: F.silu(x.chunk(2, -1)[0]) * x.chunk(2, -1)[1]),
    "swish": (A.swish, F.silu),
    "tanh": (A.tanh, F.tanh),
    "tanh_shrink": (A.tanh_shrink, F.tanhshrink),
    "threshold": (lambda x: A.threshold(x, 0.3, -2.0), lambda x: F.threshold(x, 0.3, -2.0)),
}
ELSEWHERE = {"gumbel_softmax", "prelu", "prelu_spec", "sparse_plus", "sparse_sigmoid", "sparsemax"}


def test_no_activation_is_missing_from_the_table():
    assert {name.split("-")[0] for name in TABLE} | ELSEWHERE == set(A.__all__)


def test_every_activation_of_jax_is_behind_the_door():
    others = {"dot_product_attention", "get_scaled_dot_general_config", "initializers", "log1mexp", "logmeanexp"}
    others |= {"logsumexp", "one_hot", "scaled_dot_general", "scaled_matmul", "standardize"}
    theirs = {name for name, f in vars(jax.nn).items() if callable(f) and not name.startswith("_")}
    assert theirs - others <= set(A.__all__)


def twenty_arrays():
    """Twenty random arrays, from tiny numbers to large ones: (20, 3, 6)."""
    scales = np.geomspace(0.01, 30, 20)
    arrays = [rng.normal(scale=scale, size=(3, 6)) for rng, scale in zip(configurations(), scales, strict=True)]
    return np.stack(arrays).astype(np.float32)


SINGLE = {"celu", "hard_sigmoid"}


@pytest.mark.parametrize("name", TABLE)
def test_match_torch(name):
    if name in SINGLE and os.environ["JNN_ORACLE_DTYPE"] == "float64":
        pytest.skip("torch has its constants in float32")
    assert_matches_torch(*TABLE[name], [twenty_arrays()])


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
@pytest.mark.parametrize("features", [None, 6])
def test_prelu_matches_torch(rng, features):
    slope, x = rng.normal(size=features or 1).astype(np.float32), rng.normal(size=(3, 6)).astype(np.float32)
    assert_matches_torch(lambda x, s: A.prelu({"slope": s if features else s[0]}, x), F.prelu, [x, slope])


def test_prelu_is_not_decayed():
    assert jnn.weight_mask(A.prelu_spec(4)) == {"slope": False}
    np.testing.assert_array_equal(jnn.init(A.prelu_spec(4, slope=0.1), jax.random.key(0))["slope"], np.float32(0.1))


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_sparsemax_is_the_nearest_point_of_the_simplex(axis):
    x = twenty_arrays()
    direction = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    along = 2 if axis == 1 else 1  # the other axis is a batch for Optax's projection
    project = jax.vmap(jax.vmap(optax.projections.projection_simplex), in_axes=along, out_axes=along)

    def values_and_gradients(f):
        return jax.jit(f), jax.jit(jax.grad(lambda x: jnp.sum(f(x) * direction)))

    for ours, theirs in zip(
        values_and_gradients(lambda x: A.sparsemax(x, axis)), values_and_gradients(project), strict=True
    ):
        for a, b in zip(jax.tree.leaves(ours(x)), jax.tree.leaves(theirs(x)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(A.sparsemax(x + 1024, axis), A.sparsemax(x, axis), atol=1e-3)


@pytest.mark.parametrize("axis", [-1, 0, (0, 2)])
@pytest.mark.parametrize("masked", [False, True])
def test_softmax_has_jax_own_derivatives_of_both_orders(axis, masked):
    x, direction = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    where = np.random.default_rng(1).random(x.shape) < 0.7 if masked else None
    slope = lambda f: jax.grad(lambda x: jnp.sum(f(x, axis=axis, where=where) ** 2 * direction))
    both = lambda f, x: jax.jvp(slope(f), (x,), (direction,))
    for ours, theirs in zip(jax.jit(both, static_argnums=0)(A.softmax, x), both(jax.nn.softmax, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    if masked:
        hidden = np.where(where, x, np.nan)
        np.testing.assert_allclose(slope(A.softmax)(hidden), slope(jax.nn.softmax)(x), rtol=1e-4, atol=1e-6)


def test_softmax_has_finite_derivatives_beside_what_is_hidden():
    x, where = jnp.array([0.5, jnp.nan, 2.0]), jnp.array([True, False, True])
    run = lambda x: A.softmax(x, where=where)
    entropy = lambda x: -jnp.sum(run(x) * jnp.log(run(x)), where=where)
    p = jax.nn.softmax(x[::2])
    slope = -p * (jnp.log(p) - jnp.sum(p * jnp.log(p)))
    np.testing.assert_allclose(jax.grad(entropy)(x), [slope[0], 0, slope[1]], rtol=1e-5)
    np.testing.assert_allclose(jax.jvp(run, (x,), (x,))[1], jax.vjp(run, x)[1](x)[0], rtol=1e-5)
    assert jnp.isfinite(jax.jacfwd(jax.grad(entropy))(x)).all()


@pytest.mark.parametrize("shape", [(16, 256), (100, 2), (100, 64)])
def test_softmax_has_the_jacobian_that_it_has_row_by_row(shape):
    """At sizes at which XLA:CPU makes a wrong program of `dx - sum(y * dx)` of many dx and one y."""
    x, *directions = np.random.default_rng(0).normal(size=(17, *shape)).astype(np.float32)
    along = lambda v: jax.jvp(A.softmax, (x,), (v,))[1]
    back = lambda v: jax.vjp(A.softmax, x)[1](v)[0]
    y = np.asarray(jax.nn.softmax(x))
    expected = [y * (v - (y * v).sum(-1, keepdims=True)) for v in directions]
    for run in (along, back):
        np.testing.assert_allclose(jax.jit(jax.vmap(run))(np.stack(directions)), expected, atol=1e-6)


def test_sparse_plus_and_sparse_sigmoid_are_each_others_slope():
    x = jnp.linspace(-3, 3, 31)
    np.testing.assert_allclose(jax.vmap(jax.grad(A.sparse_plus))(x), A.sparse_sigmoid(x), atol=1e-6)
    np.testing.assert_allclose(A.sparse_plus(x), jnp.where(x < 1, jnp.maximum(x + 1, 0) ** 2 / 4, x), atol=1e-6)


def test_heaviside_at_zero_is_zero_and_flat():
    assert A.heaviside(jnp.array(0.0)) == 0
    np.testing.assert_array_equal(jax.vmap(jax.grad(A.heaviside))(jnp.array([-1.0, 0.0, 1.0])), 0)


def test_rrelu_draws_slopes_between_its_bounds():
    x = -jnp.ones(10_000)
    slopes = -A.rrelu(x, 0.1, 0.3, key=jax.random.key(0))
    assert 0.1 <= slopes.min() < 0.101
    assert 0.299 < slopes.max() <= 0.3
    np.testing.assert_allclose(slopes.mean(), 0.2, atol=4 * 0.2 / 12**0.5 / 100)  # four standard errors
    np.testing.assert_array_equal(A.rrelu(-x, key=jax.random.key(0)), -x)


def test_gumbel_softmax_samples_the_categorical_distribution():
    logits = jnp.log(jnp.array([0.2, 0.3, 0.5]))
    samples = A.gumbel_softmax(jnp.broadcast_to(logits, (10_000, 3)), 0.1, key=jax.random.key(0))
    np.testing.assert_allclose(samples.sum(-1), 1, rtol=1e-5)
    drawn = jnp.bincount(samples.argmax(-1), length=3) / 10_000
    np.testing.assert_allclose(drawn, [0.2, 0.3, 0.5], atol=4 * 0.5 / 100)
    np.testing.assert_allclose(A.gumbel_softmax(logits, key=None), [0.2, 0.3, 0.5], rtol=1e-6)


OURS = [
    f for name, f in vars(A).items() if inspect.isfunction(f) and f.__module__.startswith("jnn") and "spec" not in name
]
ARGUMENTS = {"threshold": (0.0, 0.0), "maxout": (2,)}


@pytest.mark.parametrize("function", OURS, ids=lambda f: f.__name__)
def test_integers_are_one_clear_error(function):
    keys = {"key": None} if "key" in inspect.signature(function).parameters else {}
    call = lambda x: function(x, *ARGUMENTS.get(function.__name__, ()), **keys)
    if function.__name__ == "prelu":
        call = lambda x: A.prelu({"slope": jnp.ones(())}, x)
    with pytest.raises(TypeError, match=rf"{function.__name__}: expected floating-point input, found int32\[4\]"):
        call(jnp.arange(4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            A.swiglu,
            ValueError,
            r"swiglu: expected an even size along axis -1 to halve, found float32\[2,3\]",
        ),
        (lambda x: A.maxout(x, 2), ValueError, r"maxout: expected a number of pieces that divides axis 1 .* found 2"),
        (lambda x: A.prelu({"slope": jnp.ones(4)}, x), ValueError, r"prelu: its parameters expect input \[...,4\]"),
        (lambda x: A.gumbel_softmax(x, 0.0, key=None), ValueError, "expected temperature > 0, found 0.0"),
        (A.gumbel_softmax, TypeError, "key"),
        (A.rrelu, TypeError, "key"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(jnp.ones((2, 3)))
