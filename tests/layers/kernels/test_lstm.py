"""The LSTM's formulation on a CPU: the scan's values and gradients, sums in float32, which derivatives there are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import backend
from jnn.layers import lstm_cell, rnn
from tests.layers.recurrences import SPECS, close, inputs, random_params, sizes
from tests.oracle import configurations


@pytest.mark.parametrize("rng", configurations(fast=(0, 3, 4, 5)), ids=range(20))
def test_formulations_agree(rng):
    b, t, d, h = sizes(rng, 4)
    p = random_params(SPECS["lstm"](d, h))
    x, *carry, dy = (rng.normal(size=s).astype(np.float32) for s in [(b, t, d), (b, h), (b, h), (b, t, h)])
    lengths = rng.integers(0, t + 1, b) if rng.integers(2) else None
    reverse = bool(rng.integers(2))

    def projected(p, x, carry):
        y, last = rnn(lstm_cell, p, x, carry=carry, lengths=lengths, reverse=reverse)
        return jnp.sum(y * dy) + sum(jnp.sum(jnp.cos(leaf)) for leaf in last), (y, last)

    # a new function each time: jit's cache knows nothing of the target
    run = lambda: jax.jit(jax.value_and_grad(projected, argnums=(0, 1, 2), has_aux=True))
    fast = run()(p, x, tuple(carry))
    with backend.target("tpu"):
        close(run()(p, x, tuple(carry)), fast)


def test_on_a_cpu_the_weights_gradient_is_summed_in_float32():
    p = jax.tree.map(lambda a: jnp.asarray(a, jnp.bfloat16), random_params(SPECS["lstm"](2, 3)))
    x = jnp.ones((4, 300, 2), jnp.bfloat16)
    mean = lambda p, x: rnn(lstm_cell, p, x)[0].astype(jnp.float32).mean()
    grad = lambda p, x: jax.jit(jax.grad(mean))(p, x)["input"]["b"]
    exact = grad(jax.tree.map(lambda a: a.astype(jnp.float32), p), x.astype(jnp.float32))
    low = grad(p, x)
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(low, np.float32), exact, rtol=0.1, atol=0.02 * float(jnp.abs(exact).max()))


def test_every_derivative_is_there_where_the_cell_is_scanned():
    p, x = random_params(SPECS["lstm"](3, 4)), inputs(5, 3)
    run = lambda x: rnn(lstm_cell, p, x)[0]
    backwards = jax.jacrev(run)(x)
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(run, (x,), (x,))
    with backend.target("tpu"):
        close(jax.jacfwd(run)(x), backwards)


def test_second_derivatives_of_the_cpu_formulation():
    p, x = random_params(SPECS["lstm"](2, 2)), inputs(3, 2)
    energy = lambda x: jnp.sum(rnn(lstm_cell, p, x)[0] ** 2)
    ours = jax.jit(jax.jacfwd(jax.grad(energy)))(x)
    with backend.target("tpu"):
        close(ours, jax.jit(jax.hessian(energy))(x))
