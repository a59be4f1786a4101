"""Recurrences on a CPU, each in its own formulation: the scan's values and gradients, sums in float32, which
derivatives there are, and where the cell is scanned."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import backend
from jnn.axes import use_layout
from jnn.layers import gru_cell_spec, lstm_cell_spec, rnn
from jnn.parallel import layout, mesh
from tests.layers.recurrences import CELLS, SPECS, close, inputs, random_params, sizes
from tests.oracle import configurations

STATES = {"lstm": 2, "gru": 1}
BARE = {"lstm": lstm_cell_spec, "gru": gru_cell_spec}
kernels = pytest.mark.parametrize("kind", ["lstm", "gru"])


def carry_of(kind, *leaves):
    """The tree that the cell carries."""
    return leaves if STATES[kind] > 1 else leaves[0]


@kernels
@pytest.mark.parametrize("rng", configurations(fast=(0, 3, 4, 5)), ids=range(20))
def test_formulations_agree(kind, rng):
    b, t, d, h = sizes(rng, 4)
    x, *states, dy = (rng.normal(size=s).astype(np.float32) for s in [(b, t, d), (b, h), (b, h), (b, t, h)])
    carry = carry_of(kind, *states)
    lengths = rng.integers(0, t + 1, b) if rng.integers(2) else None
    reverse, bias, recurrent_bias = map(bool, rng.integers(2, size=3))
    p = random_params(BARE[kind](d, h, bias=bias, recurrent_bias=recurrent_bias))

    def projected(p, x, carry):
        y, last = rnn(CELLS[kind], p, x, carry=carry, lengths=lengths, reverse=reverse)
        return jnp.sum(y * dy) + sum(jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(last)), (y, last)

    # a new function each time: jit's cache knows nothing of the target
    run = lambda: jax.jit(jax.value_and_grad(projected, argnums=(0, 1, 2), has_aux=True))
    fast = run()(p, x, carry)
    with backend.target("tpu"):
        close(run()(p, x, carry), fast)


@kernels
def test_in_float64_every_digit_is_kept(kind):
    with jax.enable_x64(True):
        p = jax.tree.map(lambda a: a.astype(jnp.float64), random_params(SPECS[kind](3, 4)))
        x = inputs(2, 5, 3).astype(np.float64)
        energy = lambda p, x: jnp.sum(rnn(CELLS[kind], p, x)[0] ** 2)
        ours = jax.jit(jax.value_and_grad(energy, argnums=(0, 1)))(p, x)
        with backend.target("tpu"):
            theirs = jax.jit(jax.value_and_grad(energy, argnums=(0, 1)))(p, x)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12), ours, theirs)
        assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(ours))


@kernels
def test_on_a_cpu_the_weights_gradient_is_summed_in_float32(kind):
    p = jax.tree.map(lambda a: jnp.asarray(a, jnp.bfloat16), random_params(SPECS[kind](2, 3)))
    x = jnp.ones((4, 300, 2), jnp.bfloat16)
    mean = lambda p, x: rnn(CELLS[kind], p, x)[0].astype(jnp.float32).mean()
    grad = lambda p, x: jax.jit(jax.grad(mean))(p, x)["input"]["b"]
    exact = grad(jax.tree.map(lambda a: a.astype(jnp.float32), p), x.astype(jnp.float32))
    low = grad(p, x)
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(low, np.float32), exact, rtol=0.1, atol=0.02 * float(jnp.abs(exact).max()))


@kernels
def test_every_derivative_is_there_where_the_cell_is_scanned(kind):
    p, x = random_params(SPECS[kind](3, 4)), inputs(5, 3)
    run = lambda x: rnn(CELLS[kind], p, x)[0]
    backwards = jax.jacrev(run)(x)
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(run, (x,), (x,))
    with backend.target("tpu"):
        close(jax.jacfwd(run)(x), backwards)


@kernels
def test_second_derivatives_of_the_cpu_formulation(kind):
    p, x = random_params(SPECS[kind](2, 2)), inputs(3, 2)
    energy = lambda x: jnp.sum(rnn(CELLS[kind], p, x)[0] ** 2)
    ours = jax.jit(jax.jacfwd(jax.grad(energy)))(x)
    with backend.target("tpu"):
        close(ours, jax.jit(jax.hessian(energy))(x))


@kernels
def test_with_resets_and_under_a_layout_the_cell_is_scanned(kind):
    spec = SPECS[kind](3, 4)
    run = functools.partial(rnn, CELLS[kind], random_params(spec), inputs(2, 5, 3))
    with backend.target("cpu"), backend.recording() as made:
        jax.eval_shape(lambda: run(resets=jnp.zeros((2, 5), bool)))
        with use_layout(layout(spec, mesh("data=8"))):
            jax.eval_shape(run)
    chosen = [choice for choice in made if choice.name == kind]
    assert [choice.formulation for choice in chosen] == ["scan", "scan"]
    assert "resets" in chosen[0].why
    assert "layout" in chosen[1].why
