"""Law 7: every activation and loss is finite, with its gradient, over the range of every dtype, where the answer is.

The answer comes from the same function in float64: what its dtype can hold must come out finite. (That it comes out
right is what the oracles say.)
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import activations as A
from jnn import losses
from jnn.layers import dot_product_attention

PAIRS = {"glu", "geglu", "log_softmax", "maxout", "reglu", "softmax", "softmin", "sparsemax", "swiglu", "crelu"}
FUNCTIONS = {
    **{name: getattr(A, name) for name in A.__all__ if name != "prelu_spec"},
    "gelu-exact": lambda x: A.gelu(x, approximate=False),
    "gumbel_softmax": lambda x: A.gumbel_softmax(x, 0.1, key=None),
    "maxout": lambda x: A.maxout(x, 2),
    "prelu": lambda x: A.prelu({"slope": jnp.full((), -1.5, x.dtype)}, x),
    "rrelu": lambda x: A.rrelu(x, key=None),
    "snake": lambda x: A.snake(x, 3.0),
    "threshold": lambda x: A.threshold(x, 0.0, -1.0),
}


def points(dtype):
    """Zeros, subnormals, ones, and what is large: squares that overflow, the edge of exp, the greatest number."""
    info = jnp.finfo(dtype)
    positive = [0.0, info.smallest_subnormal, info.tiny, 1.0, 11.0, 20.0, 88.7, 150.0, 700.0, 1e4]
    positive += [float(info.max) ** 0.5, float(info.max) / 2, float(info.max)]
    return np.array([*positive, *(-float(x) for x in positive)], np.float64).astype(dtype)


def rows_of(name, dtype):
    x = points(dtype)
    if name.split("-")[0] not in PAIRS | {"gumbel_softmax"}:
        return x[:, None]
    return np.stack([a.ravel() for a in np.meshgrid(x, x)], -1)


def value_and_gradients(f, x, ct):
    """f row by row, and the gradient of ct times its sum."""
    y, back = jax.vjp(f, x)
    return y, back(jnp.full_like(y, ct))[0]


# one for each, so that float64's program is the same for the points of every dtype
COMPILED = {name: jax.jit(functools.partial(value_and_gradients, f)) for name, f in FUNCTIONS.items()}


def assert_finite_where_the_answer_is(f, x, ct):
    """Values and gradients, wherever those of the same function in float64 fit into the dtype."""
    found = f(x, ct)
    with jax.enable_x64(True):
        exact = [np.asarray(a) for a in f(x.astype(np.float64), ct)]
    for ours, true in zip(found, exact, strict=True):
        fits = np.isfinite(true) & (np.abs(true) < float(jnp.finfo(x.dtype).max) / 2)
        rows = fits.reshape(len(x), -1).all(-1)
        assert rows.sum() > len(x) // 4
        assert np.isfinite(np.asarray(ours, np.float64)[rows]).all()


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32], ids=lambda d: d.__name__)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_activations_are_finite_where_the_answer_is(name, dtype):
    for ct in (1.0, 150.0):
        assert_finite_where_the_answer_is(COMPILED[name], rows_of(name, dtype), ct)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activations_of_float64_are_finite_over_its_range(name):
    with jax.enable_x64(True):
        x = points(jnp.float64) * 0.25  # a sum or difference of two fits
        x = x[:, None] if rows_of(name, jnp.float16).shape[-1] == 1 else np.stack([x, x[::-1] * 0 + 1], -1)
        y, gradient = COMPILED[name](x, 1.0)
        assert y.dtype == gradient.dtype == jnp.float64
        assert np.isfinite(y).all()
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_sums_over_many_features_are_in_float32(dtype):
    x = jnp.zeros((1, 100_000), dtype)
    np.testing.assert_allclose(A.log_softmax(x).astype(jnp.float32), -np.log(1e5), rtol=0.01)
    np.testing.assert_allclose(A.softmax(x).astype(jnp.float32), 1e-5, rtol=0.01)
    np.testing.assert_allclose(A.softmin(x).astype(jnp.float32), 1e-5, rtol=0.01)


LABELS = {
    "cross_entropy": lambda x: losses.cross_entropy(x, jnp.zeros(len(x), jnp.int32), smoothing=0.1),
    "soft_cross_entropy": lambda x: losses.soft_cross_entropy(x, jnp.broadcast_to(jnp.array([0.3, 0.7]), x.shape)),
    "with_logits": lambda x: losses.binary_cross_entropy_with_logits(x, jnp.broadcast_to(jnp.array([0, 1]), x.shape)),
    "squared_error": lambda x: losses.squared_error(x, jnp.ones_like(x)),
    "absolute_error": lambda x: losses.absolute_error(x, jnp.ones_like(x)),
    "huber_loss": lambda x: losses.huber_loss(x, jnp.ones_like(x)),
}


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32], ids=lambda d: d.__name__)
@pytest.mark.parametrize("name", LABELS)
def test_losses_are_finite_where_the_answer_is(name, dtype):
    x = np.stack([a.ravel() for a in np.meshgrid(points(dtype), points(dtype))], -1)
    x = x[np.abs(x.astype(np.float64)).max(-1) < (1e19 if name == "squared_error" else 1e38)]  # as their docstring says
    y, gradient = jax.jit(functools.partial(value_and_gradients, LABELS[name]))(jnp.asarray(x), 1.0)
    assert jnp.isfinite(y).all()
    large = np.abs(x.astype(np.float64)) > 32_000  # of squared_error in float16
    assert jnp.isfinite(gradient)[~large].all()
    if not (name == "squared_error" and dtype == jnp.float16):
        assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32], ids=lambda d: d.__name__)
def test_probabilities_that_rounding_moves_out_of_the_unit_interval_are_its_ends(dtype):
    up = jnp.nextafter(jnp.ones((), dtype), jnp.asarray(2, dtype))
    out, ends = jnp.stack([up, -jnp.finfo(dtype).tiny])[None].astype(dtype), jnp.array([[1.0, 0.0]])
    p = jnp.array([[0.75, 0.25]], dtype)
    for run in (lambda f: f, jax.jit):
        for loss in (losses.soft_cross_entropy, losses.binary_cross_entropy, losses.binary_cross_entropy_with_logits):
            np.testing.assert_array_equal(run(loss)(p, out), run(loss)(p, ends))
        np.testing.assert_array_equal(
            run(losses.binary_cross_entropy)(out, ends), run(losses.binary_cross_entropy)(ends, ends)
        )
    further = 1 + 8 * jnp.maximum(jnp.finfo(dtype).eps, 1e-6)
    assert jnp.isnan(jax.jit(losses.soft_cross_entropy)(p, out.at[0, 0].set(further.astype(dtype)))).all()


ATTEND = jax.jit(dot_product_attention)  # every scale's masks are the same, so that its programs are, too


@jax.jit
def attended_and_gradients(q, k, v, mask):
    """Attention, and the gradients of a sum of its sines."""
    y, back = jax.vjp(lambda *qkv: dot_product_attention(*qkv, mask), q, k, v)
    return y, *back(jnp.cos(y))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e16, 1e18])
def test_a_masked_key_has_no_part_whatever_the_scores(scale):
    """Random masks, some rows with nothing to see, scores from 1e-60 to 1e36: the answer of the visible keys alone."""
    rng = np.random.default_rng(0)
    q, k = (np.float32(scale) * rng.normal(size=(6, 2, 4)).astype(np.float32) for _ in range(2))
    v = rng.normal(size=(6, 2, 4)).astype(np.float32)
    mask = rng.random((6, 6)) < 0.5
    mask[2] = False
    y, *gradients = attended_and_gradients(q, k, v, mask)
    assert all(np.isfinite(found).all() for found in (y, *gradients))
    for i, seen in enumerate(mask):
        alone = ATTEND(q[i : i + 1], k[seen], v[seen])[0] if seen.any() else np.zeros((2, 4))
        np.testing.assert_allclose(y[i], alone, rtol=1e-5, atol=1e-6)
