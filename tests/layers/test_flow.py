"""Flows: the inverse undoes them, log_det is that of the Jacobian, and the autoregressive one is autoregressive."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import layers
from tests.layers.recurrences import random_params
from tests.oracle import configurations

FLOWS = {
    "coupling": (layers.affine_coupling_spec, layers.affine_coupling, layers.inverse_affine_coupling),
    "autoregressive": (
        layers.autoregressive_flow_spec,
        layers.autoregressive_flow,
        layers.inverse_autoregressive_flow,
    ),
}
kinds = pytest.mark.parametrize("kind", sorted(FLOWS))


@kinds
@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_the_inverse_undoes_it_and_log_det_is_that_of_the_jacobian(kind, rng):
    spec, flow, inverse = FLOWS[kind]
    d, hidden = rng.integers(2, 6), rng.integers(1, 7)
    with jax.enable_x64(True):
        p = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), random_params(spec(int(d), int(hidden))))
        x = jnp.asarray(rng.normal(size=(3, d)))

        @jax.jit
        def run(p, x):
            y, log_det = flow(p, x)
            jacobian = jax.vmap(jax.jacfwd(lambda x: flow(p, x)[0]))(x)
            return y, log_det, jacobian, jnp.linalg.slogdet(jacobian)[1], inverse(p, y)

        y, log_det, jacobian, wanted, (back, back_det) = run(p, x)
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(log_det, wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back_det, -log_det, rtol=1e-9, atol=1e-9)
    assert not np.allclose(y, x)
    if kind == "autoregressive":
        assert not np.triu(jacobian, 1).any()


def test_every_feature_of_the_autoregressive_flow_sees_all_before_it():
    p = random_params(layers.autoregressive_flow_spec(4, 6))
    jacobian = jax.jacfwd(lambda x: layers.autoregressive_flow(p, x)[0])(jnp.ones(4))
    np.testing.assert_array_equal(np.abs(jacobian) > 0, np.tri(4, dtype=bool))


@kinds
def test_bad_input_is_one_clear_error(kind):
    spec, flow, inverse = FLOWS[kind]
    for way in (flow, inverse):
        with pytest.raises(ValueError, match=rf"{way.__name__}: its parameters expect input \[...,5\], found"):
            way(random_params(spec(5, 4)), jnp.ones(3))


def test_a_coupling_of_one_feature_is_one_clear_error():
    with pytest.raises(
        ValueError, match="affine_coupling_spec: expected 2 features or more, of which half stays, found 1"
    ):
        layers.affine_coupling_spec(1, 4)
