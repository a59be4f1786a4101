"""Penalties against torch, and which leaves they touch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.losses import l1, l2
from tests.oracle import assert_matches_torch, configurations


def model(rng):
    """A stack of layers and a lone scale, which must not pay."""
    a, b, n = (int(i) for i in rng.integers(1, 6, 3))
    scale = jnn.Param((b,), jax.nn.initializers.ones, ("hidden",))
    return {"first": jnn.layers.linear_spec(a, b), "rest": jnn.stack(jnn.layers.linear_spec(b, b), n), "scale": scale}


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_match_torch_on_weights_and_leave_the_rest_alone(rng):
    spec = model(rng)
    leaves, treedef = jax.tree.flatten(spec)
    arrays = [rng.normal(size=p.shape).astype(np.float32) for p in leaves]
    which = [i for i, counts in enumerate(jax.tree.leaves(jnn.weight_mask(spec))) if counts]
    assert len(which) == 2
    for ours, cost in [(l1, torch.abs), (l2, torch.square)]:
        assert_matches_torch(
            lambda *xs, ours=ours: ours(spec, jax.tree.unflatten(treedef, xs)),
            lambda *xs, cost=cost: sum(cost(xs[i]).sum() for i in which),
            arrays,
        )


def test_a_mask_chooses_leaves():
    spec = jnn.layers.linear_spec(2, 2)
    params = {"w": jnp.full((2, 2), 2.0), "b": jnp.full(2, 3.0)}
    assert l1(spec, params, mask={"w": False, "b": True}) == 6
    assert l2(spec, params, mask={"w": True, "b": True}) == 16 + 18
    assert l2(spec, params, mask={"w": False, "b": False}) == 0


def test_plain_sgd_on_half_the_penalty_is_weight_decay():
    spec, decay = jnn.layers.linear_spec(3, 2), 0.1
    params = jnn.init(spec, jax.random.key(0))
    gradient = jax.grad(lambda p: decay / 2 * l2(spec, p))(params)
    np.testing.assert_allclose(gradient["w"], decay * params["w"], rtol=1e-6)
    np.testing.assert_array_equal(gradient["b"], 0)


def test_half_precision_params_are_summed_in_float32():
    spec, params = jnn.layers.linear_spec(64, 64), {"w": jnp.ones((64, 64), jnp.bfloat16), "b": jnp.zeros(64)}
    assert l2(spec, params) == 64 * 64
    assert l2(spec, params).dtype == jnp.float32


def test_another_tree_is_an_error():
    with pytest.raises(ValueError, match=r"l2: expected spec, params and mask to be one tree, found"):
        l2(jnn.layers.linear_spec(2, 2), {"w": jnp.ones((2, 2))})
