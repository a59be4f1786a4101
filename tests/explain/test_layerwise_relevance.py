"""Relevance through stages: the rules by their sums, conservation, residual connections, guided gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import explain
from jnn.layers import linear
from tests.explain.networks import CLASSES, cnn, cnn_stages, mlp, mlp_stages, part, scored


@pytest.fixture(autouse=True)
def _wide():
    with jax.enable_x64(True):
        yield


def shared(contributions, r):
    """Relevance r (out,) by the contributions (in, out) of inputs and, last, of the bias."""
    z = contributions.sum(0)
    return (contributions / z * r).sum(1)[:-1]


def by_sums(rule, p, x, r):
    """The rules as the papers write them, of a linear map."""
    x, r = np.asarray(x), np.asarray(r)
    z = np.concatenate([x[:, None] * p["w"], p["b"][None]])
    if rule == "positive":
        return shared(np.maximum(z, 0), r)
    if rule == "gamma":
        more = lambda w: w + 0.5 * np.maximum(w, 0)
        z = np.concatenate([x[:, None] * more(p["w"]), more(p["b"])[None]])
    return shared(z, r)


RULES = {
    "epsilon": explain.epsilon_rule(1e-12),
    "gamma": explain.gamma_rule(0.5, 1e-12),
    "positive": explain.positive_rule(1e-12),
}


@pytest.mark.parametrize("rule", RULES)
def test_rules_by_their_sums(rule):
    rng = np.random.default_rng(0)
    p, x, r = part(rng, 5, 3), rng.normal(size=5), rng.normal(size=3)
    found = jax.jit(lambda p, x, r: RULES[rule](linear, p, x, r))(p, x, r)
    np.testing.assert_allclose(found, by_sums(rule, p, x, r), rtol=1e-7)


@pytest.mark.parametrize("rule", RULES)
def test_relevance_is_conserved(rule):
    ps, x = cnn(np.random.default_rng(1), bias=False)
    stages = cnn_stages(ps, RULES[rule])
    explained = jax.jit(jax.vmap(lambda x, target: explain.layerwise_relevance(stages, x, target), (None, 0)))
    found = explained(jnp.abs(x), jnp.arange(CLASSES))
    scores = explain.apply_stages(stages, jnp.abs(x))
    # to the positive alone nothing is handed where there is nothing positive
    kept = scores > 0 if rule == "positive" else scores != 0
    assert kept.any()
    np.testing.assert_allclose(found.sum((1, 2, 3))[kept], scores[kept], rtol=1e-5)


def test_epsilon_is_input_times_gradient_without_biases():
    ps, x = cnn(np.random.default_rng(2), bias=False)
    stages = cnn_stages(ps, RULES["epsilon"])
    found = explain.layerwise_relevance(stages, x, 1)
    np.testing.assert_allclose(found, explain.input_times_gradient(scored(stages, 1), x), rtol=1e-5, atol=1e-9)


def test_a_residual_stage_is_shared_by_what_is_added():
    """By hand: the sum shares, each goes on by itself, and both meet again."""
    rng = np.random.default_rng(3)
    (first, out), x = mlp(rng, 6, (6,), bias=False)
    inner = mlp_stages([part(rng, 6, 5), part(rng, 5, 6)])
    stages = [
        *mlp_stages([first])[:1],
        explain.residual_stage(inner, 1e-9),
        explain.Stage(linear, out, RULES["epsilon"]),
    ]
    np.testing.assert_allclose(
        explain.apply_stages(stages, x),
        linear(out, linear(first, x) + explain.apply_stages(inner, linear(first, x))),
        rtol=1e-9,
    )
    h = linear(first, x)
    added = explain.apply_stages(inner, h)
    r = by_sums("epsilon", out | {"b": np.zeros(CLASSES)}, h + added, np.eye(CLASSES)[2] * linear(out, h + added))
    within = added * r / (h + added)
    for stage, given in zip(
        inner[::-1], [jax.nn.relu(linear(inner[0].params, h)), linear(inner[0].params, h), h], strict=True
    ):
        within = stage.rule(stage.apply, stage.params, given, within)
    r = by_sums("epsilon", first | {"b": np.zeros(6)}, x, h * r / (h + added) + within)
    np.testing.assert_allclose(explain.layerwise_relevance(stages, x, 2), r, rtol=1e-5)


def test_a_guided_activation_lets_only_what_is_positive_back():
    ps, x = mlp(np.random.default_rng(4), 6, (8,))
    f = scored(mlp_stages(ps, activation=explain.guided(jax.nn.relu)), 0)
    h = linear(ps[0], x)
    back = np.maximum(ps[1]["w"][:, 0], 0) * (h > 0)
    np.testing.assert_allclose(jax.jit(functools.partial(explain.gradient, f))(x), ps[0]["w"] @ back, rtol=1e-9)
    np.testing.assert_allclose(f(x), scored(mlp_stages(ps), 0)(x))


def test_dtype_in_is_dtype_out():
    ps, x = mlp(np.random.default_rng(5))
    for dtype in (jnp.float32, jnp.bfloat16):
        found = explain.layerwise_relevance(mlp_stages(ps), jnp.asarray(x, dtype), 1)
        assert found.dtype == dtype


def test_what_makes_no_sense_is_one_clear_error():
    ps, x = mlp(np.random.default_rng(6))
    stages = mlp_stages(ps)
    with pytest.raises(ValueError, match=r"layerwise_relevance: expected the target in 0\.\.3"):
        explain.layerwise_relevance(stages, x, 4)
    with pytest.raises(TypeError, match="layerwise_relevance: expected integers, found float64"):
        explain.layerwise_relevance(stages, x, 1.0)
    with pytest.raises(ValueError, match=r"layerwise_relevance: expected scores \(classes,\), found float64\[2,4\]"):
        explain.layerwise_relevance(stages, jnp.stack([x, x]), 1)
