"""Attributions by gradients, by hiding and by maps: completeness, linear functions, batches, dtypes, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import explain
from tests.explain.networks import cnn, cnn_stages, mlp, mlp_stages, scored

KEY = jax.random.key(0)
ROWS = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
METHODS = {
    "gradient": explain.gradient,
    "saliency": explain.saliency,
    "input_times_gradient": explain.input_times_gradient,
    "smooth_grad": functools.partial(explain.smooth_grad, key=KEY, noise=0.1, samples=8),
    "integrated_gradients": functools.partial(explain.integrated_gradients, steps=8),
    "gradient_shap": lambda f, x: explain.gradient_shap(f, x, ROWS.astype(x.dtype), key=KEY, samples=8),
    "occlusion": functools.partial(explain.occlusion, window=(2,)),
    "shapley_values": explain.shapley_values,
    "kernel_shap": functools.partial(explain.kernel_shap, key=KEY, samples=20),
    "deletion_curve": lambda f, x: explain.deletion_curve(f, x, jnp.abs(x), steps=3),
    "insertion_curve": lambda f, x: explain.insertion_curve(f, x, jnp.abs(x), steps=3),
}
BY_NAME = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(scope="module")
def network():
    ps, x = mlp(np.random.default_rng(0))
    return mlp_stages(jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), ps)), jnp.asarray(x, jnp.float32)


@BY_NAME
def test_jit_equals_eager_and_a_batch_its_examples(name, network):
    stages, x = network
    one = lambda x, target: METHODS[name](scored(stages, target), x)
    xs, targets = jnp.stack([x, 2 * x]), jnp.array([1, 3])
    batch = jax.jit(jax.vmap(one))(xs, targets)
    with jax.disable_jit(name in ("gradient", "saliency", "occlusion")):
        expected = [one(x, target) for x, target in zip(xs, targets, strict=True)]
    np.testing.assert_allclose(batch, jnp.stack(expected), rtol=1e-4, atol=1e-5)


@BY_NAME
def test_dtype_in_is_dtype_out(name, network):
    ps, x = mlp(np.random.default_rng(0))
    with jax.enable_x64(True):
        found = METHODS[name](scored(mlp_stages(ps), 1), jnp.asarray(x, jnp.float64))
    assert found.dtype == jnp.float64
    narrow = jax.eval_shape(lambda x: METHODS[name](lambda x: x[0] * x.sum(), x), x.astype(jnp.bfloat16))
    assert narrow.dtype == (jnp.float32 if name.endswith("curve") else jnp.bfloat16)


@BY_NAME
def test_an_example_of_numpy(name):
    x = np.arange(1.0, 7.0)
    f = lambda x: x @ jnp.arange(6.0)
    found, expected = (METHODS[name](f, x) for x in (x, jnp.asarray(x)))
    assert found.dtype == expected.dtype == jnp.float32
    np.testing.assert_array_equal(found, expected)


@BY_NAME
def test_several_scores_are_one_clear_error(name):
    with pytest.raises(ValueError, match=rf"{name}: expected f\(x\) to be one number, found float32\[6\]"):
        METHODS[name](lambda x: 2 * x, jnp.ones(6))
    with pytest.raises(TypeError, match=f"{name}: expected floating-point input"):
        METHODS[name](jnp.sum, jnp.ones(6, jnp.int32))


@pytest.mark.parametrize("name", ["smooth_grad", "integrated_gradients", "gradient_shap", "occlusion", "kernel_shap"])
def test_some_at_a_time_are_all_at_once(name, network):
    stages, x = network
    f = scored(stages, 2)
    found = [functools.partial(METHODS[name], f, x)(**size) for size in ({}, {"batch_size": 3}) if name in PARTIAL]
    found = found or [explain.gradient_shap(f, x, ROWS, key=KEY, samples=8, batch_size=size) for size in (None, 3)]
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


PARTIAL = {name for name, method in METHODS.items() if isinstance(method, functools.partial)}


def test_of_a_linear_function_all_agree():
    rng = np.random.default_rng(2)
    w, x = (jnp.asarray(a, jnp.float32) for a in rng.normal(size=(2, 6)))
    f = lambda x: x @ w + 5
    near = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    near(METHODS["gradient"](f, x), w)
    near(METHODS["smooth_grad"](f, x), w)
    for name in ("input_times_gradient", "integrated_gradients", "shapley_values", "kernel_shap"):
        near(METHODS[name](f, x), w * x, err_msg=name)
    near(explain.occlusion(f, x, (1,)), w * x)
    near(explain.occlusion(f, x, (2,))[::2], (w * x).reshape(3, 2).sum(1))
    same = jnp.tile(ROWS[:1], (3, 1))
    near(explain.gradient_shap(f, x, same, key=KEY, samples=3), w * (x - ROWS[0]))


def test_integrated_gradients_are_complete(network):
    """Of polynomials up to twice the steps exactly; of a network of ReLUs, the more the better."""
    x, start = jnp.array([1.5, -0.5, 2.0]), jnp.array([0.5, 1.0, -1.0])
    f = lambda x: x[0] ** 3 * x[1] - x[2] ** 4 + x[0] * x[2]
    found = explain.integrated_gradients(f, x, start, steps=2)
    np.testing.assert_allclose(found.sum(), f(x) - f(start), rtol=1e-5)
    stages, x = network
    f = scored(stages, 0)
    lack = [abs(explain.integrated_gradients(f, x, steps=n).sum() - f(x) + f(0 * x)) for n in (2, 200)]
    assert lack[1] < 1e-2 * abs(f(x) - f(0 * x)) < lack[0]


def test_gradient_shap_is_the_mean_of_integrated_gradients(network):
    stages, x = network
    f = scored(stages, 1)
    expected = jax.vmap(lambda row: explain.integrated_gradients(f, x, row))(ROWS).mean(0)
    found = [
        explain.gradient_shap(f, x, ROWS, key=key, samples=400) for key in jax.random.split(KEY, 10)
    ]  # of which the deviation says how far the mean may be off
    error = np.std(found, 0) / np.sqrt(len(found))
    assert (abs(np.mean(found, 0) - expected) < 5 * error + 1e-6).all()


def test_noise_and_baselines_follow_the_key(network):
    stages, x = network
    f = scored(stages, 1)
    for method in (explain.smooth_grad, explain.gradient_shap):
        more = {"noise": 1.0} if method is explain.smooth_grad else {"baselines": ROWS}
        one, again, other = (method(f, x, key=key, samples=4, **more) for key in (KEY, KEY, jax.random.key(1)))
        assert (one == again).all()
        assert (one != other).any()
    for of in (explain.gradient, explain.saliency):
        still = explain.smooth_grad(f, x, key=KEY, noise=0.0, samples=2, of=of)
        np.testing.assert_allclose(still, of(f, x), rtol=1e-6)


def test_grad_cam_by_its_definition():
    ps, x = cnn(np.random.default_rng(3))
    with jax.enable_x64(True):
        stages, x = cnn_stages(ps), jnp.asarray(x)
        features, head = functools.partial(_apply, stages[:5]), scored(stages[5:], 2)
        found = jax.jit(lambda x: explain.grad_cam(features, head, x))(x)
        maps, slopes = features(x), jax.grad(head)(features(x))
    maps, slopes = np.asarray(maps), np.asarray(slopes)
    expected = sum(slopes[..., k].mean() * maps[..., k] for k in range(maps.shape[-1]))
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-9)
    assert found.shape == maps.shape[:2]


def _apply(stages, x):
    return explain.apply_stages(stages, x)


def test_occlusion_by_its_definition():
    rng = np.random.default_rng(4)
    w, x = (jnp.asarray(a, jnp.float32) for a in rng.normal(size=(2, 5, 4, 3)))
    f = lambda x: jnp.tanh((w * x).sum())
    found = explain.occlusion(f, x, (2, 3), stride=(2, 1), baseline=0.5)
    total, count = np.zeros((5, 4)), np.zeros((5, 4))
    for i in (0, 2, 4):  # the last window reaches beyond the end
        for j in (0, 1):
            total[i : i + 2, j : j + 3] += f(x) - f(x.at[i : i + 2, j : j + 3].set(0.5))
            count[i : i + 2, j : j + 3] += 1
    np.testing.assert_allclose(found, total / count, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("window", "stride"), [((7,), None), ((0,), None), ((2,), (3,)), ((2, 2), None), ((), None), ((2,), (1, 1))]
)
def test_windows_that_make_no_sense_are_one_clear_error(window, stride):
    with pytest.raises(ValueError, match="occlusion: expected a window of the first axes"):
        explain.occlusion(jnp.sum, jnp.ones(6), window, stride=stride)


@pytest.mark.parametrize("sizes", [{"window": 2}, {"window": (2,), "stride": 1}])
def test_a_window_or_stride_of_one_number_is_one_clear_error(sizes):
    with pytest.raises(
        ValueError, match=rf"occlusion: expected a {[*sizes][-1]} of one size an axis, such as \(8, 8\)"
    ):
        explain.occlusion(jnp.sum, jnp.ones(6), **sizes)


def test_what_makes_no_sense_is_one_clear_error():
    x = jnp.ones((4, 3))
    with pytest.raises(ValueError, match=r"integrated_gradients: expected one number for the baseline.*float32\[4\]"):
        explain.integrated_gradients(jnp.sum, x, jnp.ones(4))
    with pytest.raises(ValueError, match=r"integrated_gradients: expected steps of 1 or more, found 0"):
        explain.integrated_gradients(jnp.sum, x, steps=0)
    with pytest.raises(ValueError, match=r"gradient_shap: expected baselines \(n, ...\) like x float32\[4,3\]"):
        explain.gradient_shap(jnp.sum, x, x, key=KEY)
    with pytest.raises(TypeError, match="smooth_grad: expected one PRNG key, found 0"):
        explain.smooth_grad(jnp.sum, x, key=0, noise=1.0)
    with pytest.raises(ValueError, match="smooth_grad: expected noise of at least 0, found -1"):
        explain.smooth_grad(jnp.sum, x, key=KEY, noise=-1.0)
    with pytest.raises(ValueError, match=r"deletion_curve: expected a relevance of x's shape.*float32\[3\]"):
        explain.deletion_curve(jnp.sum, x, jnp.ones(3))
    with pytest.raises(ValueError, match="expected examples at a time of 1 or more, found 0"):
        explain.occlusion(jnp.sum, x, (1, 1), batch_size=0)
    with pytest.raises(ValueError, match="grad_cam: expected an array of rank 2"):
        explain.grad_cam(lambda x: x[0], jnp.sum, x)


def test_curves_go_from_one_end_to_the_other(network):
    stages, x = network
    f, relevance = scored(stages, 3), jnp.asarray(ROWS[0])
    down = explain.deletion_curve(f, x, relevance, 0.3, steps=6)
    up = explain.insertion_curve(f, x, -relevance, 0.3, steps=6)
    np.testing.assert_allclose(down, up[::-1], rtol=1e-6)
    np.testing.assert_allclose(down[jnp.array([0, -1])], jnp.array([f(x), f(jnp.full(6, 0.3))]), rtol=1e-5)
    first = jnp.argmax(relevance)
    np.testing.assert_allclose(down[1], f(x.at[first].set(0.3)), rtol=1e-5)


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_relevance_without_a_sign_is_sorted_too(dtype):
    curve = explain.deletion_curve(jnp.sum, jnp.array([1.0, 5.0]), np.array([0, 1], dtype), steps=2)
    assert curve.tolist() == [6.0, 1.0, 0.0]
