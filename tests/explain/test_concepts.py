"""Concept vectors against scikit-learn's logistic regression; what a head makes of them; sanity checks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import jnn
from jnn.explain import concept_activation, concept_sensitivity, concept_vector, randomized_weights, sanity_check
from jnn.models import mlp, mlp_spec


def activations(seed, apart=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(apart, 2.0, (20, 2, 3)), rng.normal(size=(15, 2, 3))


@pytest.mark.parametrize(("seed", "l2", "apart"), [(0, 0.01, 1.0), (1, 1.0, 0.2), (2, 1e-3, 9.0)])
def test_the_vector_of_a_logistic_regression(seed, l2, apart):
    concept, others = activations(seed, apart)
    rows, labels = np.concatenate([concept, others]).reshape(35, 6), np.repeat([1, 0], [20, 15])
    model = LogisticRegression(C=1 / (35 * l2), tol=1e-10, max_iter=10_000).fit(rows, labels)
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(lambda a, b: concept_vector(a, b, l2=l2))(concept, others))
    np.testing.assert_allclose(found.ravel(), model.coef_[0] / np.linalg.norm(model.coef_), atol=1e-4)
    np.testing.assert_allclose(concept_vector(others, concept, l2=l2), -found, atol=2e-3)


def test_sensitivity_and_share():
    concept, others = (jnp.asarray(a, jnp.float32) for a in activations(3))
    vector, w = concept_vector(concept, others), others[0]
    assert float(concept_sensitivity(lambda h: (w * h).sum(), concept[0], vector)) == pytest.approx(
        float((w * vector).sum()), rel=1e-4
    )
    head = lambda h: jnp.tanh((w * h).sum()) * h.sum()
    slopes = [concept_sensitivity(head, h, vector) for h in concept]
    share = jax.jit(lambda h: concept_activation(head, h, vector, batch_size=6))(concept)
    assert float(share) == pytest.approx(np.mean(np.array(slopes) > 0))
    assert 0 < share < 1


def test_what_makes_no_sense_is_one_clear_error():
    x = jnp.ones((3, 2))
    with pytest.raises(ValueError, match="concept_vector: expected activations of one layer"):
        concept_vector(x, jnp.ones((3, 4)))
    with pytest.raises(ValueError, match="concept_vector: expected l2 above 0, found 0"):
        concept_vector(x, x, l2=0.0)
    with pytest.raises(ValueError, match="concept_sensitivity: expected equal shapes"):
        concept_sensitivity(jnp.sum, x, jnp.ones(2))


SPEC = mlp_spec((4, 5, 3))


@pytest.fixture(scope="module")
def trained():
    return jnn.init(SPEC, jax.random.key(0))


def test_a_cascade_draws_one_part_after_another(trained):
    drawn = jnn.init(SPEC, jax.random.key(1))
    cascade = randomized_weights(trained, SPEC, jax.random.key(1), ["fc1", "fc0/w"])
    assert list(cascade) == ["fc1", "fc0/w"]
    expected = [
        trained | {"fc1": drawn["fc1"]},
        {"fc1": drawn["fc1"], "fc0": {"w": drawn["fc0"]["w"], "b": trained["fc0"]["b"]}},
    ]
    for found, wanted in zip(cascade.values(), expected, strict=True):
        assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), found, wanted))


def test_what_follows_the_weights_passes_and_what_does_not_fails(trained):
    x = jax.random.normal(jax.random.key(2), (6, 4))
    score = lambda p: lambda x: mlp(p, x, key=None)[0]
    follows = lambda p: jax.vmap(jax.grad(score(p)))(x)
    cascade = randomized_weights(trained, SPEC, jax.random.key(1), ["fc1", "fc0"])
    assert sanity_check(follows, trained, {"none": trained})["none"] == pytest.approx(1.0)
    assert sanity_check(follows, trained, cascade)["fc0"] < 0.8
    still = sanity_check(lambda p: x.at[0].set(p["fc1"]["b"][0]), trained, {"flat": trained})  # one map does not vary
    assert still["flat"] == pytest.approx(1.0)
    assert np.isnan(sanity_check(jnp.ones_like, x, {"flat": x})["flat"])
    assert sanity_check(lambda p: jnp.abs(x), trained, cascade) == {name: pytest.approx(1.0) for name in cascade}


def test_other_parameters_or_parts_are_one_clear_error(trained):
    with pytest.raises(ValueError, match="no part 'fc'; the spec has fc0/b"):
        randomized_weights(trained, SPEC, jax.random.key(1), ["fc"])
    with pytest.raises(ValueError, match="do not fit the spec: missing: fc1/b"):
        randomized_weights({"fc0": trained["fc0"]}, SPEC, jax.random.key(1), ["fc0"])
