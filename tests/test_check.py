"""`jnn.laws.check`: a block that breaks a law is told which one, and by how little."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.laws import LAWS, check, check_loss
from jnn.layers import (
    attention,
    attention_cache,
    attention_spec,
    batch_norm,
    batch_norm_spec,
    cached_attention,
    dropout,
    linear,
    linear_spec,
)
from jnn.losses import squared_error
from jnn.param import Param
from jnn.train import LossOutput

SPEC = linear_spec(4, 4)
X = np.ones((5, 4), np.float32)


def forgets_bias(p, x):
    return x @ p["w"]


def mixes_examples(p, x):
    return linear(p, x - x.mean(0, keepdims=True))


def mixes_outputs(p, x):
    return jnp.cumsum(linear(p, x), 0)


def knows_whether_it_is_traced(p, x):
    return linear(p, x) * (1 if isinstance(x, jax.core.Tracer) else 2)


def ignores_its_key(p, x, *, key):
    return linear(p, x)


def always_float32(p, x):
    return linear(p, x).astype(jnp.float32)


def divides_by_its_norm(p, x):
    return linear(p, x) / jnp.sqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-30)


def narrow_inside(p, x):
    return linear(p, x.astype(jnp.bfloat16)).astype(x.dtype)


def sums_in_its_dtype(p, x):
    return x @ p["w"] + p["b"][None, None]  # broadcast in bfloat16: so is the sum of its gradient


def looks_ahead(p, x):
    return linear(p, x + jnp.roll(x, -1, axis=-2))


def looks_ahead_by_sign(p, x):
    y = linear(p, x)
    return y * (y[..., -1:, :] > 0)


def two_outputs(p, x):
    return linear(p, x), linear(p, x)[..., ::-1, :]


def knows_one_axis(p, x):
    return linear(p, x) * (2 if x.ndim == 3 else 1)


def always_the_same_noise(p, x, *, key):
    return linear(p, x) if key is None else dropout(linear(p, x), 0.3, key=jax.random.key(7))


def forgets_the_past(p, x, memory):
    return attention(p, x, causal=True), memory


def before_batch_norm(p, x):
    return batch_norm(p["norm"], linear(p["linear"], x))[0]


def offset_in_its_dtype(p, x):
    return batch_norm({}, linear(p["linear"], x))[0] * p["norm"]["scale"][None, None] + p["norm"]["bias"][None, None]


@pytest.mark.parametrize(
    ("function", "law", "options", "message"),
    [
        (forgets_bias, "every parameter is read", {}, "declared and never read: b"),
        (mixes_examples, "batch = vmap", {}, r"float32\[1,5,4\].*one by one: output"),
        (knows_whether_it_is_traced, "jit = eager, sharded = single", {}, r"float32\[1,5,4\].*eager and compiled"),
        (ignores_its_key, "noise is an argument", {}, "a key changes nothing"),
        (always_float32, "dtype in = dtype out", {}, "float32 and float32"),
        (divides_by_its_norm, "gradients are finite", {}, "where all inputs are 0, an output or a gradient is not"),
        (narrow_inside, "float64 stays float64", {}, "bfloat16.* of what came in as float64"),
        (sums_in_its_dtype, "long sums are wide", {}, "the gradient of b loses what 512 copies"),
        (looks_ahead, "causality", {"causal": True}, "an output before time 1, with other inputs from then on"),
        (looks_ahead_by_sign, "causality", {"causal": True}, "an output before time 1, with other inputs"),
        (two_outputs, "causality", {"causal": True}, "an output before time 1, with other inputs"),
        (knows_one_axis, "batch = vmap", {}, "a batch of one axis and of two"),
        (always_the_same_noise, "noise is an argument", {}, "another key makes the same noise"),
    ],
    ids=lambda x: getattr(x, "__name__", None),
)
def test_a_broken_law_is_named(function, law, options, message):
    with pytest.raises(AssertionError, match=f'(?s){function.__name__}: these laws.*"{law}" of .*{message}'):
        check(function, SPEC, X, laws=[law], **options)


def test_a_gradient_of_zero_is_not_lost_in_its_rounding():
    """A bias before a batch normalization has none; what is added behind it has one, which stalls in bfloat16."""
    spec = {"linear": linear_spec(4, 4), "norm": batch_norm_spec(4)}
    law = {"laws": ["long sums are wide"], "per_example": False}
    check(before_batch_norm, spec, X, **law)
    with pytest.raises(AssertionError, match="the gradient of norm/bias loses what 512 copies"):
        check(offset_in_its_dtype, spec, X, **law)


def test_what_follows_from_a_broken_law_is_not_said():
    laws = ["long sums are wide", "batch = vmap"]
    with pytest.raises(AssertionError, match="long sums are wide"):
        check(mixes_outputs, SPEC, X, laws=laws[:1])
    with pytest.raises(AssertionError, match="batch = vmap") as found:
        check(mixes_outputs, SPEC, X, laws=laws)
    assert "long sums are wide" not in str(found.value)


def test_a_cache_that_forgets_is_named():
    laws, spec = ["prefill = step by step"], attention_spec(4, 2)
    causal = lambda p, x: attention(p, x, causal=True)
    begin = lambda p, length, leading: attention_cache(p, length, leading=leading)
    check(causal, spec, X, laws=laws, chunk=cached_attention, begin=begin)
    with pytest.raises(AssertionError, match=r"cut at \[1, 2, 3, 4\], and whole: output|cut at \[2\], and whole"):
        check(causal, spec, X, laws=laws, chunk=forgets_the_past)


def test_what_the_function_raises_is_raised_once():
    spec = {"kernel": Param((4, 4), jax.nn.initializers.zeros, ("a", "b"))}
    with pytest.raises(ValueError, match=r"^linear: expected"):
        check(linear, spec, X)


@pytest.mark.parametrize(
    ("example", "options", "error", "message"),
    [
        (X, {"laws": "causality"}, ValueError, r"found \['causality'\]"),
        (X, {"laws": ["causality"]}, ValueError, "'causality' needs causal=True"),
        (X, {"laws": ["prefill = step by step"]}, ValueError, "needs chunk="),
        ({"x": X}, {}, TypeError, "expected an array, or a tuple of arrays"),
        (1j * X, {}, TypeError, "of real numbers, found complex64"),
    ],
)
def test_bad_arguments_are_one_clear_error(example, options, error, message):
    with pytest.raises(error, match=message):
        check(linear, SPEC, example, **options)


def test_blocks_of_integers_of_other_dtypes_and_of_several_outputs():
    check(lambda p, i: jax.nn.one_hot(i, 5), {}, np.array([4, 1]))
    check(linear, linear_spec(4, 4, dtype=jnp.bfloat16), np.ones(4, np.float16))
    both = lambda p, x: (linear(p, x), x)
    check(
        both,
        SPEC,
        lambda rng: rng.normal(size=(5, 4)).astype(np.float32),
        causal=True,
        chunk=lambda p, x, m: (both(p, x), m),
    )


def test_what_holds_passes_every_law():
    check(linear, SPEC, X, causal=True)


def regression(params, batch, ctx):
    return LossOutput(squared_error(linear(params, batch["x"]), batch["y"]), batch["weight"])


def forgets_weights(params, batch, ctx):
    return regression(params, batch, ctx)._replace(weights=jnp.ones(batch["x"].shape[0]))


def sees_other_rows(params, batch, ctx):
    out = regression(params, batch, ctx)
    return out._replace(values=out.values - out.values.mean(keepdims=True) / 2)


ROWS = {"x": np.eye(4, dtype=np.float32), "y": np.ones((4, 4), np.float32)}


def test_a_loss_that_keeps_the_laws_passes():
    check_loss(regression, SPEC, ROWS)


@pytest.mark.parametrize(
    ("loss", "law", "message"),
    [
        (forgets_weights, "a row of weight 0 is not there", "with four rows of weight 0 that hold NaN"),
        (sees_other_rows, "a row of weight 0 is not there", "with four rows of weight 0 that hold NaN"),
    ],
)
def test_a_loss_that_breaks_one_is_told(loss, law, message):
    with pytest.raises(AssertionError, match=f'{loss.__name__}: these laws do not hold.\n  "{law}": {message}'):
        check_loss(loss, SPEC, ROWS, laws=[law])


def test_an_unknown_law_is_an_error():
    with pytest.raises(ValueError, match=r"expected a list of laws out of \['spec = params'.*found \['jit'\]"):
        check(linear, SPEC, X, laws=["jit"])
    with pytest.raises(ValueError, match=r"check_loss: expected laws out of"):
        check_loss(regression, SPEC, ROWS, laws=["jit"])
    assert "causality" in LAWS
