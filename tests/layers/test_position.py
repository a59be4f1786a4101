"""Positions: the papers' formulas written out, their invariances, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init
from jnn.layers import learned_positions, learned_positions_spec, rotary, sinusoidal_positions
from tests.oracle import assert_matches_torch, configurations


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_sinusoidal_is_the_papers_formula(rng):
    d = 2 * int(rng.integers(1, 9))
    positions = rng.integers(0, 200, tuple(rng.integers(1, 4, rng.integers(0, 3)))).astype(np.int32)
    expected = np.zeros((*positions.shape, d))
    for i in range(d // 2):
        expected[..., 2 * i] = np.sin(positions / 10_000 ** (2 * i / d))
        expected[..., 2 * i + 1] = np.cos(positions / 10_000 ** (2 * i / d))
    positions, rates = jnp.asarray(positions), 10_000.0 ** (-2 * np.arange(d // 2) / d)
    np.testing.assert_allclose(sinusoidal_positions(positions, d), expected, atol=3e-5)
    found = sinusoidal_positions(2 * positions, d, rates=rates / 2, interleaved=False)
    apart = np.concatenate([expected[..., ::2], expected[..., 1::2]], -1)
    np.testing.assert_allclose(found, apart, atol=3e-5)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 3, 8)), ids=range(20))
def test_rotary_matches_complex_multiplication_in_torch(rng):
    t, h, half = (int(n) for n in rng.integers(1, 6, 3))
    leading = tuple(rng.integers(1, 4, rng.integers(0, 3)))
    positions = rng.integers(0, 100, (*leading, t)).astype(np.int32)
    base = float(rng.choice([100.0, 10_000.0]))
    x = rng.normal(size=(*leading, t, h, 2 * half)).astype(np.float32)

    def turned(x):
        rates = base ** (-torch.arange(half) / half)
        turn = torch.polar(torch.ones(()), torch.tensor(positions)[..., None, None] * rates)
        y = torch.complex(x[..., :half], x[..., half:]) * turn
        return torch.cat([y.real, y.imag], -1)

    assert_matches_torch(lambda x: rotary(x, jnp.asarray(positions), base=base), turned, [x])


def test_rotary_products_depend_on_the_difference_of_positions_alone():
    q, k = jax.random.normal(jax.random.key(0), (2, 6, 1, 8))
    product = lambda shift: jnp.einsum(
        "thk,shk->ts", rotary(q, jnp.arange(6) + shift), rotary(k, jnp.arange(6) + shift)
    )
    np.testing.assert_allclose(product(0), product(37), atol=1e-4)
    np.testing.assert_allclose(
        jnp.linalg.norm(rotary(q, jnp.arange(6)), axis=-1), jnp.linalg.norm(q, axis=-1), rtol=1e-5
    )


@pytest.mark.parametrize("position", [-1, 5])
def test_a_position_out_of_range_is_an_error_or_nan(position):
    p = init(learned_positions_spec(5, 3), jax.random.key(0))
    with pytest.raises(ValueError, match=r"learned_positions: expected positions in 0..4"):
        learned_positions(p, jnp.array([position]))
    assert np.isnan(jax.jit(learned_positions)(p, jnp.array([position]))).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rotary(jnp.ones((4, 2, 3)), jnp.arange(4)), ValueError, r"rotary: pairs .* even size, found 3"),
        (lambda: rotary(jnp.ones((4, 2)), jnp.arange(4)), ValueError, r"rotary: expected an array of rank 3"),
        (lambda: rotary(jnp.ones((4, 2, 2)), jnp.arange(3)), ValueError, r"rotary: expected positions \(4,\)"),
        (lambda: rotary(jnp.ones((4, 2, 2)), jnp.ones(4)), TypeError, r"rotary: expected integers"),
        (lambda: rotary(jnp.ones((4, 2, 2), jnp.int32), jnp.arange(4)), TypeError, r"rotary: expected floating"),
        (lambda: sinusoidal_positions(jnp.arange(4), 3), ValueError, r"sinusoidal_positions: .* found 3"),
        (lambda: sinusoidal_positions(jnp.arange(4), 4, rates=np.ones(3)), ValueError, r"expected 2 rates.*\(3,\)"),
        (lambda: sinusoidal_positions(jnp.ones(4), 4), TypeError, r"sinusoidal_positions: expected integers"),
        (lambda: learned_positions({"table": jnp.ones((3, 2))}, jnp.ones(2)), TypeError, r"learned_positions: exp"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
