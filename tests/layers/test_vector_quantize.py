"""Quantization against loops and the papers' rules: nearest rows, straight-through gradients, moving averages."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import layers
from jnn.layers import Codebook, codebook_stats, finite_scalar_quantize, update_codebook, vector_quantize
from tests.layers.recurrences import inputs, random_params
from tests.oracle import configurations


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_the_nearest_row_and_its_gradients(rng):
    n, d = rng.integers(1, 7, 2)
    table, x = rng.normal(size=(n, d)), rng.normal(size=(4, d))
    towards = rng.normal(size=(4, d))

    def total(table, x):
        found = vector_quantize({"table": table}, x)
        return jnp.sum(found.values * towards) + 3 * found.commitment.sum() + 5 * found.codebook.sum(), found

    with jax.enable_x64(True):
        (_, found), grads = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(table, x)
    ids = np.argmin(((x[:, None] - table) ** 2).sum(-1), 1)
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_array_equal(found.values, table[ids])
    np.testing.assert_allclose(found.commitment, ((x - table[ids]) ** 2).mean(-1), rtol=1e-9)
    wanted = np.zeros_like(table)
    np.add.at(wanted, ids, 10 * (table[ids] - x) / d)
    np.testing.assert_allclose(grads[0], wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(grads[1], towards + 6 * (x - table[ids]) / d, rtol=1e-9, atol=1e-9)


def test_every_code_of_many_has_an_id_of_its_own():
    _, (last, other) = finite_scalar_quantize(jnp.array([[9.0] * 11, [-9.0] + [9.0] * 10]), (7,) * 11)
    assert (int(last), int(other)) == (7**11 - 1, 7**11 - 7)


def test_the_nearest_row_is_found_far_from_zero():
    table, x = 3000 + inputs(16, 4), 3000 + inputs(50, 4)[::-1]
    apart = ((np.asarray(x, np.float64)[:, None] - np.asarray(table, np.float64)) ** 2).sum(-1)
    np.testing.assert_array_equal(vector_quantize({"table": table}, x).ids, apart.argmin(-1))


def test_a_codebook_of_moving_averages_moves_to_the_means():
    """Statistics of parts add up; what is masked has no part; after many updates, rows are means of their vectors."""
    x, ids = inputs(6, 2), jnp.array([0, 1, 1, 0, 2, 2])
    whole = codebook_stats(x, ids, 4)
    parts = [codebook_stats(x[part], ids[part], 4) for part in (slice(0, 4), slice(4, 6))]
    jax.tree.map(lambda a, *b: np.testing.assert_allclose(a, sum(b), rtol=1e-6), whole, *parts)
    masked = codebook_stats(np.where(np.arange(6)[:, None] < 4, x, np.nan), ids, 4, mask=jnp.arange(6) < 4)
    jax.tree.map(np.testing.assert_allclose, masked, parts[0])
    state = Codebook(jnp.zeros((4, 2)), jnp.ones(4), jnp.zeros((4, 2)))
    for _ in range(60):
        state = update_codebook(state, whole, decay=0.8)
    wanted = [x[np.asarray(ids) == i].mean(0) for i in range(3)]
    np.testing.assert_allclose(state.table[:3], wanted, rtol=1e-3, atol=1e-4)
    assert np.isfinite(state.table).all()


@pytest.mark.parametrize("levels", [(3,), (2, 5), (8, 4)])
def test_scalar_codes_are_all_reached_each_by_its_own_values(levels):
    """Every code is one of prod(levels); its digits say the values; the gradient is that of the bound."""
    axes = [np.linspace(-4, 4, 60)] * len(levels)
    x = np.array(list(itertools.product(*axes)), np.float32)
    values, ids = finite_scalar_quantize(x, levels)
    digits = np.asarray(values) * (np.array(levels) // 2) + np.array(levels) // 2
    np.testing.assert_allclose(digits, np.round(digits), atol=1e-5)
    np.testing.assert_array_equal(ids, np.round(digits) @ np.cumprod([1, *levels[:-1]]))
    assert set(np.asarray(ids).tolist()) == set(range(int(np.prod(levels))))
    assert np.abs(values).max() <= 1
    grad = jax.grad(lambda x: finite_scalar_quantize(x, levels)[0].sum())(jnp.zeros((1, len(levels))))
    count = np.array(levels)
    half = (count - 1) * 1.001 / 2
    offset = np.where(count % 2 == 0, 0.5, 0)
    np.testing.assert_allclose(grad[0], half * (1 - (offset / half) ** 2) / (count // 2), rtol=1e-4)


def test_a_drawn_row_is_a_row_and_likely_rows_are_drawn_often():
    p = random_params(layers.gumbel_vector_quantize_spec(3, 4, 2))
    x = jnp.broadcast_to(jnp.asarray(inputs(3)), (4000, 3))
    values, ids = layers.gumbel_vector_quantize(p, x, temperature=0.7, key=jax.random.key(0))
    np.testing.assert_allclose(values, p["codebook"]["w"][ids], rtol=1e-5, atol=1e-6)
    share = jax.nn.softmax(layers.linear(p["logits"], x[0]))
    np.testing.assert_allclose(np.bincount(ids, minlength=4) / 4000, share, atol=0.04)
    silent = layers.gumbel_vector_quantize(p, x[:2], temperature=0.7, key=None)[1]
    assert silent.tolist() == [int(share.argmax())] * 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vector_quantize({"table": jnp.ones((4, 2))}, jnp.ones(3)), r"expect input \[...,2\]"),
        (lambda: codebook_stats(jnp.ones((3, 2)), jnp.zeros(2, int), 4), r"ids of \(3,\), one per vector, found"),
        (lambda: finite_scalar_quantize(jnp.ones(2), (3, 1)), r"2 levels or more for each feature, found \(3, 1\)"),
        (lambda: finite_scalar_quantize(jnp.ones(2), (3,)), r"expect input \[...,1\]"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
