"""Stochastic depth of models: unbiased, of whole examples, by a linear schedule, scanned as in a loop; stems."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters.partial_eval import dce_jaxpr

import jnn
from jnn import models
from jnn.inspect import flops
from jnn.layers import drop_path, drop_path_rates, scan_layers
from jnn.models._residual_stages import added, through_stages
from jnn.models._stochastic_depth import scanned_rates
from tests.models.images import images

KEY = jax.random.key(0)
RATES = [0.0, 0.25, 0.5]
MOBILE = (models.MobileBlock(3, 8, 8, False, False, 1), models.MobileBlock(3, 16, 8, True, True, 1))
STAGES = ((3, 1, 8, 1), (3, 2, 8, 3))
DROPPING = {  # each with its spec and an image
    "vit": (models.vit, models.vit_spec((4, 4, 1), 2, 3, layers=3, heads=2, embed=8, hidden=6), 4),
    "mlp_mixer": (
        models.mlp_mixer,
        models.mlp_mixer_spec((4, 4, 1), 2, 3, layers=3, embed=8, tokens_hidden=5, hidden=6),
        4,
    ),
    "convnext": (models.convnext, models.convnext_spec((2, 1), (4, 6), 3, patch=2, channels=1), 8),
    "resnet": (models.resnet, models.resnet_spec((2, 2), (4, 6), 3, stem=4, kernel=3, channels=1), 4),
    "preactivation_resnet": (
        models.preactivation_resnet,
        models.preactivation_resnet_spec((2, 2), (4, 6), 3, stem=4, channels=1),
        4,
    ),
    "mobilenet_v2": (
        partial(models.mobilenet_v2, rate=0.0, strides=(1, 1)),
        models.mobilenet_v2_spec(3, stages=((1, 8, 1), (2, 8, 3)), stem=8, last=8, channels=1),
        4,
    ),
    "mobilenet_v3": (
        partial(models.mobilenet_v3, rate=0.0, blocks=MOBILE),
        models.mobilenet_v3_spec(3, blocks=MOBILE, stem=8, head=4, channels=1),
        4,
    ),
    "efficientnet": (
        partial(models.efficientnet, rate=0.0, strides=(1, 1)),
        models.efficientnet_spec(3, stages=STAGES, stem=8, channels=1),
        4,
    ),
    "efficientnet_lite": (
        partial(models.efficientnet_lite, rate=0.0, strides=(1, 1)),
        models.efficientnet_lite_spec(3, stages=STAGES, stem=8, last=8, channels=1),
        4,
    ),
    "efficientnet_v2": (
        partial(models.efficientnet_v2, rate=0.0, strides=(1, 1)),
        models.efficientnet_v2_spec(3, stages=STAGES, fused=1, stem=8, last=8, channels=1),
        4,
    ),
}
each = pytest.mark.parametrize(
    "name", [name if name == "mlp_mixer" else pytest.param(name, marks=pytest.mark.slow) for name in DROPPING]
)


def linear_block(p, x, stats, key, *, stride, drop_path=0.0):
    """A residual block of images whose branch is linear: that its mean is the silent one is exact."""
    return added(x, p * x, drop_path, key), {}


def test_rates_grow_linearly():
    np.testing.assert_allclose(drop_path_rates(12, 0.3), np.linspace(0, 0.3, 12))
    assert drop_path_rates(1, 0.3) == [0.3]
    assert all(type(rate) is float for rate in drop_path_rates(3, np.float32(0.5)))


@pytest.mark.parametrize(
    ("depth", "last", "message"),
    [(0, 0.1, "depth of 1 or more, found 0"), (2, 1.0, r"last \(rate of dropping\) in \[0, 1\), found 1.0")],
)
def test_bad_rates_are_one_clear_error(depth, last, message):
    with pytest.raises(ValueError, match=message):
        drop_path_rates(depth, last)


def test_rates_that_are_scanned_are_unbiased_and_drop_examples_whole():
    """A stage of three blocks, behind each of which an example is x, or x * (1 + 1 / (1 - rate))."""
    stage = {"stage1": {"first": jnp.float32(1), "rest": jnp.ones(2)}}
    run = lambda key: through_stages(stage, jnp.ones((4, 2, 2, 1)), None, linear_block, key, drop_path=0.5)[0]
    y = np.asarray(jax.jit(jax.vmap(run))(jax.random.split(KEY, 4000)))
    np.testing.assert_array_equal(y, y[:, :, :1, :1] + np.zeros_like(y))
    possible = {2.0 * a * b: (1 - 0.25, 0.25)[a == 1] * 0.5 for a in (1, 1 + 1 / 0.75) for b in (1, 3)}
    found, times = np.unique(y[:, :, 0, 0].round(4), return_counts=True)
    np.testing.assert_allclose(found, sorted(possible), rtol=1e-4)
    np.testing.assert_allclose(times / 16000, [possible[value] for value in sorted(possible)], atol=0.02)
    np.testing.assert_allclose(y.mean(0), 8, atol=0.3)
    assert abs(np.corrcoef(*y[:, :2, 0, 0, 0].T)[0, 1]) < 0.1  # examples are independent


def test_scanned_is_the_loop():
    layer = lambda one, x, key, _: x + drop_path(jnp.tanh(one[0] * x), one[1]["drop_path"], key=key, in_axes=1)
    w, y = jnp.linspace(0.5, 2, 3), jnp.linspace(0.5, 1, 12).reshape(6, 2)
    found = scan_layers(layer, (w, scanned_rates(RATES, KEY)), y, "embed", key=KEY)
    for i, rate in enumerate(RATES):
        y = layer((w[i], {"drop_path": rate}), y, jax.random.fold_in(KEY, i + 1), None)
    np.testing.assert_allclose(found, y, rtol=1e-6)


def run_of(name):
    """A model `(p, x, key=, drop_path=) -> logits` by given statistics, normal params, and images."""
    model, spec, size = DROPPING[name]
    normalizes = "stats" in inspect.signature(model).parameters
    given = [jax.tree.map(lambda p: np.ones(p.shape, np.float32), models.batch_stats_spec(spec))] if normalizes else []
    logits = lambda y: y[0] if isinstance(y, tuple) else y
    rng = np.random.default_rng(0)
    p = jax.tree.map(lambda p: rng.normal(0, 0.5, p.shape).astype(np.float32), spec)
    return (lambda p, x, **noise: logits(model(p, x, *given, **noise))), p, images(6, size, size, 1)


@each
def test_without_a_key_or_a_rate_nothing_is_dropped_and_noise_is_by_example(name):
    model, p, x = run_of(name)
    loss = lambda p, x, key, rate: model(p, x, key=key, drop_path=rate)

    @jax.jit
    def all_of(p, x):
        return loss(p, x, None, 0.0), loss(p, x, KEY, 0.0), loss(p, x, KEY, 0.6)

    silent, zero, noisy = map(np.asarray, all_of(p, x))
    off, jaxpr = (str(jax.make_jaxpr(lambda p, x, rate=rate: loss(p, x, None, rate))(p, x)) for rate in (0.9, 0.0))
    assert off == jaxpr
    np.testing.assert_array_equal(zero, silent)
    same = np.isclose(noisy, silent, rtol=1e-4, atol=1e-5).all(-1)
    assert not same.all()
    of_one = flops(loss, p, x, None, 0.0)
    assert flops(lambda p, x: loss(p, x, KEY, 0.6), p, x).model == of_one.model


@pytest.mark.slow
@pytest.mark.parametrize("name", DROPPING)
def test_gradients_and_a_traced_rate(name):
    model, p, x = run_of(name)
    value = lambda p, rate: jnp.sum(model(p, x, key=KEY, drop_path=rate) ** 2)
    known, traced = jax.jit(lambda p, rate: (jax.grad(value)(p, 0.25), jax.grad(value)(p, rate)))(p, 0.25)
    for a, b in zip(jax.tree.leaves(known), jax.tree.leaves(traced), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * float(jnp.abs(a).max() + 1e-6))


CHANGING = {  # whose blocks all widen or stride
    "resnet": (models.resnet, models.resnet_spec((1, 1), (4, 6), 3, stem=2, kernel=3, channels=1), {}),
    "preactivation_resnet": (
        models.preactivation_resnet,
        models.preactivation_resnet_spec((1, 1), (4, 6), 3, stem=2, channels=1),
        {},
    ),
    "efficientnet_v2": (
        models.efficientnet_v2,
        models.efficientnet_v2_spec(3, stages=((3, 2, 8, 1), (3, 2, 16, 1)), fused=1, stem=8, last=8, channels=1),
        {"strides": (2, 1), "rate": 0.0},
    ),
}


@pytest.mark.parametrize("name", CHANGING)
def test_blocks_whose_shape_changes_are_not_dropped(name):
    """Without compilation: what a key makes is not among what the logits are computed of."""
    model, spec, how = CHANGING[name]
    logits = lambda key, p: model(p, images(2, 8, 8, 1), key=key, drop_path=0.9, **how)[0]
    jaxpr = jax.make_jaxpr(logits)(KEY, jax.tree.map(lambda p: np.ones(p.shape, np.float32), spec)).jaxpr
    assert not dce_jaxpr(jaxpr, [True])[1][0]


@pytest.mark.parametrize("rate", [1.0, -0.1])
def test_a_rate_that_is_none_is_an_error_without_noise_too(rate):
    model, p, x = run_of("vit")
    with pytest.raises(ValueError, match=r"in \[0, 1\)"):
        jax.eval_shape(lambda p: model(p, x, key=None, drop_path=rate), p)


@pytest.mark.parametrize(
    "name", ["mobilenet_v2", "mobilenet_v3", "efficientnet", "efficientnet_lite", "efficientnet_v2"]
)
def test_stem_stride(name):
    """Behind a stem that does not stride maps are twice as high and wide: four times the products, but of the ends."""
    model, spec, _ = DROPPING[name]
    count = lambda **how: flops(lambda p, x: model(p, x, key=None, **how)[0], jnn.abstract(spec), images(1, 16, 16, 1))
    assert count(stem_stride=1).model > 3 * count().model
    with pytest.raises(ValueError, match="expected stem_stride of 1 or more, found 0"):
        count(stem_stride=0)
