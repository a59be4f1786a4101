"""Capacity and expert choice token by token in torch; bad input."""

import jax
import jax.numpy as jnp
import pytest
import torch

from jnn import init
from jnn.layers import expert_choice, mixture_of_experts_spec, route, routed_experts, within_capacity
from tests.layers.experts import answer, drawn, routed, together
from tests.oracle import assert_matches_torch, configurations


def with_room(which, capacity, experts):
    """Of one row, whether each choice (t, k) finds room: all first ones, token by token, and then the second ones."""
    room, kept = dict.fromkeys(range(experts), capacity), torch.zeros(which.shape)
    for choice in range(which.shape[1]):
        for token in range(len(which)):
            e = int(which[token, choice])
            kept[token, choice] = room[e] > 0
            room[e] -= 1
    return kept


@pytest.mark.parametrize("rng", configurations(fast=[7]), ids=range(20))
def test_an_expert_takes_the_first_choices_of_the_first_tokens_of_a_row(rng):
    arrays, tree, (activation, act), n = drawn(rng)
    top, t = int(rng.integers(1, n + 1)), arrays[0].shape[-2]
    capacity = int(rng.integers(1, 2 + t * top // n))

    def theirs(x, *leaves):
        p = tree.unflatten(leaves)
        _, which, weights = routed(p, x, top, None)
        kept = torch.stack([with_room(row, capacity, n) for row in which.reshape(-1, t, top)]).reshape(which.shape)
        return torch.cat([together(p, x, weights * kept, which, act), weights * kept], -1)

    def ours(x, *leaves):
        p = tree.unflatten(leaves)
        routing = within_capacity(route(p, x, top=top), capacity)
        return jnp.concatenate([routed_experts(p, x, routing, activation=activation), routing.weights], -1)

    assert_matches_torch(ours, theirs, arrays)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_experts_choose_their_tokens(rng):
    arrays, tree, (activation, act), _ = drawn(rng)
    t = arrays[0].shape[-2]
    capacity = int(rng.integers(1, t + 1))

    def theirs(x, *leaves):
        p = tree.unflatten(leaves)
        likes = (x @ p["router"]["w"]).softmax(-1)
        # of each token among those that an expert chooses from
        rank = likes.argsort(dim=-2, descending=True, stable=True).argsort(dim=-2)
        weights = torch.where(rank < capacity, likes, 0)
        return torch.cat([(weights[..., None] * answer(p, x, act)).sum(-2), likes], -1)

    def ours(x, *leaves):
        y, likes = expert_choice(tree.unflatten(leaves), x, capacity=capacity, activation=activation)
        return jnp.concatenate([y, likes], -1)

    assert_matches_torch(ours, theirs, arrays)


X = jax.random.normal(jax.random.key(1), (2, 7, 6))


def test_bad_input_is_one_clear_error():
    p = init(mixture_of_experts_spec(6, 8, 3), jax.random.key(0))
    with pytest.raises(ValueError, match=r"within_capacity: expected a capacity of 1 or more, found 0"):
        within_capacity(route(p, X, top=2), 0)
    with pytest.raises(ValueError, match=r"expert_choice: expected a capacity in 1..7 tokens, found 8"):
        expert_choice(p, X, capacity=8)
    with pytest.raises(TypeError, match=r"expert_choice: expected floating-point input"):
        expert_choice(p, X.astype(int), capacity=1)
