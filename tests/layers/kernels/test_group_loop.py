"""The loop over blocks of rows is the products by group that JAX differentiates itself, under every transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import backend
from jnn.layers import mixture_of_experts, mixture_of_experts_spec
from jnn.layers.kernels._group_loop import by_loop, no_loop
from jnn.layers.kernels._grouped import blocks
from jnn.param import init

SIZES = [[3, 0, 21, 1], [0, 0, 30, 0], [8, 8, 8, 6], [0, 0, 0, 0]]  # of 30 rows, blocks of 8
DERIVATIVES = {
    "forward": lambda f, x, w: jax.jvp(f, (x, w), (jnp.cos(x), jnp.cos(w)))[1],
    "reverse": lambda f, x, w: jax.grad(lambda x, w: jnp.sin(f(x, w)).sum(), (0, 1))(x, w),
    "forward over reverse": lambda f, x, w: jax.jvp(
        jax.grad(lambda x, w: jnp.sin(f(x, w)).sum(), (0, 1)), (x, w), (jnp.cos(x), jnp.cos(w))
    )[1],
    "reverse over reverse": lambda f, x, w: jax.grad(
        lambda x, w: sum(jnp.sin(g).sum() for g in jax.grad(lambda x, w: jnp.sin(f(x, w)).sum(), (0, 1))(x, w)), (0, 1)
    )(x, w),
}


def drawn():
    return jax.random.normal(jax.random.key(0), (30, 3)), jax.random.normal(jax.random.key(1), (4, 3, 5))


@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_derivatives_are_those_of_blocks(derivative):
    x, w = drawn()
    both = jax.jit(
        lambda sizes: [DERIVATIVES[derivative](lambda x, w, f=f: f(x, w, sizes), x, w) for f in (by_loop, blocks)]
    )
    for sizes in SIZES:
        ours, theirs = both(jnp.array(sizes))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, theirs)


@pytest.mark.parametrize("mapped", [(0, None, None), (None, 0, None), (0, 0, 0)])
def test_a_batch_is_each_of_it(mapped):
    """Also with sizes of its own for each, whose loops would not end together."""
    x, w = drawn()
    args = [x, w, jnp.array(SIZES[0])]
    stacked = [jnp.stack([a, 2 * a, a]) if axis == 0 else a for a, axis in zip(args[:2], mapped, strict=False)]
    stacked.append(jnp.array(SIZES[:3]) if mapped[2] == 0 else args[2])
    one = lambda f: jax.value_and_grad(lambda x, w, sizes: jnp.sin(f(x, w, sizes)).sum(), (0, 1))
    ours, theirs = jax.jit(lambda *a: [jax.vmap(one(f), mapped)(*a) for f in (by_loop, blocks)])(*stacked)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, theirs)


def test_rows_of_nobody_may_hold_anything():
    x, w = drawn()
    dirty = x.at[24:].set(jnp.nan)
    run = jax.jit(jax.value_and_grad(lambda w, x: (by_loop(x, w, jnp.array([3, 0, 20, 1])) ** 2).sum()))
    for found, wanted in zip(run(w, dirty), run(w, x), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_gradients_of_bfloat16_are_summed_in_float32():
    x, sizes = jnp.full((4096, 1), 1 / 64, jnp.bfloat16), jnp.array([4096])
    total = jax.grad(lambda w: by_loop(x, w, sizes).astype(jnp.float32).sum())(jnp.ones((1, 1, 1), jnp.bfloat16))
    assert total.item() == 64


def test_where_it_cannot_run_it_says_why():
    (n,) = jax.export.symbolic_shape("n")
    assert no_loop(jnp.ones((2, 3))) == ""
    found = []
    jax.export.export(jax.jit(lambda x: found.append(no_loop(x)) or x))(jax.ShapeDtypeStruct((n, 3), jnp.float32))
    assert "not known" in found[0]


def test_experts_are_the_same_by_either():
    p, x = init(mixture_of_experts_spec(4, 8, 3), jax.random.key(0)), jax.random.normal(jax.random.key(1), (50, 4))
    run = lambda: jax.jit(jax.value_and_grad(lambda p: (mixture_of_experts(p, x, top=2)[0] ** 2).sum()))(p)
    here = run()
    with backend.target("tpu"):
        there = run()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), here, there)


def test_no_rows_are_nobody():
    w, sizes = jnp.ones((2, 3, 1)), jnp.zeros(2, jnp.int32)
    for f in (by_loop, blocks):
        y, slope = jax.value_and_grad(lambda w, x, f=f: f(x, w, sizes).sum())(w, jnp.ones((0, 3)))
        assert (y, slope.sum()) == (0, 0)
    one = lambda x: jax.grad(lambda w: by_loop(x, w, sizes).sum())(w)
    assert jax.vmap(one)(jnp.ones((4, 0, 3))).shape == (4, 2, 3, 1)
