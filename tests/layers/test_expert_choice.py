"""Capacity and expert choice token by token in NumPy; shared experts; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import init
from jnn.layers import (
    expert_choice,
    feed_forward,
    mixture_of_experts,
    mixture_of_experts_spec,
    route,
    routed_experts,
    within_capacity,
)

X = jax.random.normal(jax.random.key(1), (2, 7, 6))


def gelu(a):
    return np.asarray(jax.nn.gelu(jnp.asarray(a, jnp.float32)))


def mlp(p, e, x):
    return gelu(x @ np.asarray(p["up"]["w"][e])) @ np.asarray(p["down"]["w"][e])


def test_an_expert_takes_the_first_choices_of_the_first_tokens_of_a_row():
    p = init(mixture_of_experts_spec(6, 8, 3), jax.random.key(0))
    routing = route(p, X, top=2)
    found = np.asarray(routed_experts(p, X, within_capacity(routing, 3)))
    for row, x in enumerate(np.asarray(X)):
        room, expected, dropped = dict.fromkeys(range(3), 3), np.zeros((7, 6)), 0
        for choice in range(2):
            for token in range(7):
                e = int(routing.experts[row, token, choice])
                if room[e] > 0:
                    expected[token] += float(routing.weights[row, token, choice]) * mlp(p, e, x[token])
                dropped += room[e] <= 0
                room[e] -= 1
        assert dropped > 0
        np.testing.assert_allclose(found[row], expected, atol=2e-6)


def test_experts_choose_their_tokens():
    p = init(mixture_of_experts_spec(6, 8, 3), jax.random.key(0))
    found, scores = expert_choice(p, X, capacity=4)
    for row, x in enumerate(np.asarray(X)):
        logits = np.exp(x @ np.asarray(p["router"]["w"]))
        likes, expected = logits / logits.sum(-1, keepdims=True), np.zeros((7, 6))
        for e in range(3):
            for token in np.argsort(-likes[:, e])[:4]:
                expected[token] += likes[token, e] * mlp(p, e, x[token])
        np.testing.assert_allclose(scores[row], likes, atol=2e-6)
        np.testing.assert_allclose(found[row], expected, atol=2e-6)


def test_a_shared_expert_is_added():
    p = init(mixture_of_experts_spec(6, 8, 3, shared=5), jax.random.key(0))
    own = {name: p[name] for name in ("router", "up", "down")}
    alone, beside = mixture_of_experts(own, X, top=2)[0], feed_forward(p["shared"], X)
    np.testing.assert_allclose(mixture_of_experts(p, X, top=2)[0], alone + beside, atol=1e-6)
    w = np.linspace(-2, 2, 6, dtype=np.float32)[:, None]
    expected = alone + beside / (1 + np.exp(-np.asarray(X) @ w))
    np.testing.assert_allclose(mixture_of_experts(p | {"shared_gate": {"w": w}}, X, top=2)[0], expected, atol=1e-5)
    gated = mixture_of_experts_spec(6, 8, 3, shared=5, shared_gate=True)
    assert gated["shared_gate"]["w"].shape == w.shape


def test_bad_input_is_one_clear_error():
    p = init(mixture_of_experts_spec(6, 8, 3), jax.random.key(0))
    with pytest.raises(ValueError, match=r"within_capacity: expected a capacity of 1 or more, found 0"):
        within_capacity(route(p, X, top=2), 0)
    with pytest.raises(ValueError, match=r"expert_choice: expected a capacity in 1..7 tokens, found 8"):
        expert_choice(p, X, capacity=8)
    with pytest.raises(TypeError, match=r"expert_choice: expected floating-point input"):
        expert_choice(p, X.astype(int), capacity=1)
