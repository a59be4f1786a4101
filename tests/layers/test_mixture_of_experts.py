"""A mixture of experts against every expert on every token in torch; its losses; products by group, both ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.layers import expert_mlps, load_balance, mixture_of_experts, mixture_of_experts_spec, route, router_z
from jnn.layers.kernels._group_loop import by_loop
from jnn.layers.kernels._grouped import blocks, every, ragged
from tests.layers.experts import answer, drawn, routed, together
from tests.oracle import assert_matches_torch, configurations
from tests.parallel.sharing import assert_close, value_and_gradients


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_routing_is_its_formula(rng):
    arrays, tree, _, n = drawn(rng)
    how = {"top": int(rng.integers(1, n + 1)), "normalized": [None, True, False][rng.integers(3)]}

    def ours(x, *leaves):
        routing = route(tree.unflatten(leaves), x, **how)
        return jnp.concatenate([routing.logits, routing.experts.astype(jnp.float32), routing.weights], -1)

    theirs = lambda x, *leaves: torch.cat(routed(tree.unflatten(leaves), x, **how), -1)
    assert_matches_torch(ours, theirs, arrays)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_it_is_the_weighted_sum_of_the_chosen_ones(rng):
    """With a gate or without; beside an expert that all share, gated or not, or without it."""
    shared = [{}, {"shared": 3}, {"shared": 2, "shared_gate": True}][rng.integers(3)]
    arrays, tree, (activation, act), n = drawn(rng, **shared)
    how = {"top": int(rng.integers(1, n + 1)), "normalized": [None, True, False][rng.integers(3)]}

    def theirs(x, *leaves):
        p = tree.unflatten(leaves)
        _, which, weights = routed(p, x, **how)
        return together(p, x, weights, which, act)

    ours = lambda x, *leaves: mixture_of_experts(tree.unflatten(leaves), x, activation=activation, **how)[0]
    assert_matches_torch(ours, theirs, arrays)


@pytest.mark.parametrize("grouped", [blocks, by_loop, every, ragged])
@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_experts_answer_their_own_rows(rng, grouped):
    """So many of each, of some none; behind them rows that are nobody's."""
    (x, *leaves), tree, (activation, act), n = drawn(rng)
    rows = x.reshape(-1, x.shape[-1])
    whose = np.sort(rng.integers(0, n + 1, len(rows)))
    sizes = jnp.asarray(np.bincount(whose, minlength=n + 1)[:n])

    def theirs(x, *leaves):
        each = answer(tree.unflatten(leaves), x, act)
        return torch.cat([each, torch.zeros_like(each[:, :1])], 1)[torch.arange(len(x)), torch.tensor(whose)]

    ours = lambda x, *leaves: expert_mlps(tree.unflatten(leaves), x, sizes, activation, grouped)
    assert_matches_torch(ours, theirs, [rows, *leaves])


def test_none_is_dropped_when_all_go_to_one_expert():
    p = jnn.init(mixture_of_experts_spec(4, 8, 6), jax.random.key(0))
    p["router"]["w"] = jnp.zeros((4, 6)).at[:, 3].set(1.0)
    x = jax.random.uniform(jax.random.key(1), (50, 4))

    @jax.jit
    def both(p, x):
        y, routing = mixture_of_experts(p, x, top=1)
        expert = jax.nn.gelu(x @ p["up"]["w"][3]) @ p["down"]["w"][3]
        return routing.experts, y, routing.weights * expert

    chosen, y, expected = both(p, x)
    assert (np.asarray(chosen) == 3).all()
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_the_router_learns_from_one_expert_too():
    p = jnn.init(mixture_of_experts_spec(4, 8, 6), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (5, 4))
    grads = jax.jit(jax.grad(lambda p: mixture_of_experts(p, x, top=1)[0].sum()))(p)
    assert np.asarray(grads["router"]["w"]).any()


def test_the_router_is_in_float32():
    p = jnn.init(mixture_of_experts_spec(64, 8, 4), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (20, 64), jnp.bfloat16)
    y, routing = jax.jit(lambda p, x: mixture_of_experts(p, x, top=2))(p, x)
    assert (y.dtype, routing.logits.dtype, routing.weights.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
    np.testing.assert_allclose(routing.logits, x.astype(jnp.float32) @ p["router"]["w"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("grouped", [blocks, by_loop, every, ragged])
def test_products_by_group_are_those_of_each_row(grouped):
    rows, w = jax.random.normal(jax.random.key(0), (8, 3)), jax.random.normal(jax.random.key(1), (4, 3, 5))

    def each(rows, w, group):
        full = jnp.concatenate([w, jnp.zeros((1, 3, 5))])
        return jnp.einsum("ra,rab->rb", rows, full[group])

    @jax.jit
    def both(sizes, group):
        ours = value_and_gradients(lambda rows, w: grouped(rows, w, sizes), rows, w)
        return ours, value_and_gradients(lambda rows, w: each(rows, w, group), rows, w)

    for sizes in ([2, 0, 5, 1], [0, 0, 8, 0], [1, 1, 1, 0], [0, 0, 0, 0], [8, 0, 0, 0]):
        assert_close(*both(jnp.array(sizes), np.repeat(np.arange(5), [*sizes, 8 - sum(sizes)])))


def test_balance_is_one_when_even_and_the_number_of_experts_when_all_go_to_one():
    logits = 50 * jnp.eye(4)
    even = jnn.layers.Routing(logits, jnp.arange(4)[:, None], jnp.ones((4, 1)))
    one = jnn.layers.Routing(50 * jnp.eye(4)[jnp.zeros(4, int)], jnp.zeros((4, 1), int), jnp.ones((4, 1)))
    np.testing.assert_allclose(load_balance(even).mean(), 1, rtol=1e-6)
    np.testing.assert_allclose(load_balance(one).mean(), 4, rtol=1e-6)


def test_balance_is_the_papers_formula_and_does_not_see_padding():
    p, x = (
        jnn.init(mixture_of_experts_spec(4, 8, 3), jax.random.key(0)),
        jax.random.normal(jax.random.key(1), (2, 6, 4)),
    )
    weights = jnp.array([[1.0] * 6, [1.0, 1.0, 0, 0, 0, 0]])
    real = jnp.concatenate([x[0], x[1, :2]])

    def papers(x):
        routing = route(p, x, top=2)
        share = jnp.bincount(routing.experts.reshape(-1), length=3) / routing.experts.size
        return 3 * jnp.sum(share * jax.nn.softmax(routing.logits).mean(0))

    ours = lambda x: jnp.sum(weights * load_balance(route(p, x, top=2), weights)) / weights.sum()
    both = jax.jit(lambda x, real: (jax.value_and_grad(ours)(x), jax.value_and_grad(papers)(real)))
    (value, grad), (expected, papers_grad) = both(x, real)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(grad[0], papers_grad[:6], rtol=1e-4, atol=1e-6)


def test_balance_takes_the_weights_of_rows_as_a_loss_does():
    p = jnn.init(mixture_of_experts_spec(4, 8, 3), jax.random.key(0))
    routing = route(p, jax.random.normal(jax.random.key(1), (3, 5, 4)), top=2)
    rows = jnp.array([1.0, 0.0, 2.0])
    np.testing.assert_array_equal(load_balance(routing, rows), load_balance(routing, jnp.repeat(rows[:, None], 5, 1)))
    with pytest.raises(ValueError, match=r"the shape of the tokens, \(3, 5\), or of their leading axes, found \(5,\)"):
        load_balance(routing, jnp.ones(5))


def test_z_is_the_square_of_the_logits_log_sum():
    p = jnn.init(mixture_of_experts_spec(4, 8, 3), jax.random.key(0))
    routing = jax.jit(lambda p, x: route(p, x, top=2))(p, jnp.ones((2, 5, 4)))
    np.testing.assert_allclose(router_z(routing), np.log(np.exp(routing.logits).sum(-1)) ** 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "top", "error", "message"),
    [
        (
            jnp.ones((3, 5)),
            1,
            ValueError,
            r"mixture_of_experts: its parameters expect input \[...,4\], found float32\[3,5\]",
        ),
        (jnp.ones((3, 4), jnp.int32), 1, TypeError, "mixture_of_experts: expected floating-point input"),
        (jnp.ones((3, 4)), 0, ValueError, r"mixture_of_experts: expected top in 1..6, the number of experts; found 0"),
        (jnp.ones((3, 4)), 7, ValueError, "found 7"),
    ],
)
def test_bad_input_is_one_clear_error(x, top, error, message):
    with pytest.raises(error, match=message):
        mixture_of_experts(jnn.init(mixture_of_experts_spec(4, 8, 6), jax.random.key(0)), x, top=top)
