"""Cox's partial likelihood against the textbook's sums over times, and with bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.losses import cox_partial_likelihood
from tests.losses.exact import assert_exact, in_float64
from tests.oracle import configurations


def textbook(hazards, times, events, efron):
    """The sum over distinct times of events, of one cohort."""
    total = 0 * hazards.sum()
    for t in times[events].unique():
        now, risk = events & (times == t), hazards[times >= t].exp().sum()
        d = int(now.sum())
        gone = [i / d if efron else 0.0 for i in range(d)]
        total = total + sum(torch.log(risk - g * hazards[now].exp().sum()) for g in gone) - hazards[now].sum()
    return total


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_matches_the_sums_over_times(rng):
    cohorts, n = (int(i) for i in rng.integers(2, 6, 2) * (1, 3))
    hazards = rng.normal(scale=2, size=(cohorts, n))
    times, events, mask = (rng.integers(0, high, (cohorts, n)) for high in (5, 2, 5))

    def ours(h, t, e, m):
        values = [cox_partial_likelihood(h, t, e, mask=m, ties=ties) for ties in ("breslow", "efron")]
        return jnp.sum(jnp.stack(values), axis=-1)

    def theirs(h, t, e, m):
        rows = list(zip(h, t, e == 1, m > 0, strict=True))
        sums = [[textbook(h[m], t[m], e[m], efron) for h, t, e, m in rows] for efron in (False, True)]
        return torch.stack([torch.stack(row) for row in sums])

    assert_exact(ours, theirs, hazards, times, events, mask)


def test_without_ties_both_rules_are_one_row_by_row():
    rng = np.random.default_rng(0)
    h, t, e = rng.normal(size=6), rng.permutation(6), np.array([1, 0, 1, 1, 0, 1])
    rows = [e[i] * (np.log(np.exp(h[t >= t[i]]).sum()) - h[i]) for i in range(6)]
    both = lambda *cohort: jnp.stack([cox_partial_likelihood(*cohort, ties=ties) for ties in ("breslow", "efron")])
    np.testing.assert_allclose(in_float64(both, h, t, e), [rows, rows], rtol=1e-9, atol=1e-12)


def test_padding_changes_nothing_whatever_it_holds():
    h, t, e = jnp.array([0.5, -1.0, 2.0, jnp.nan]), jnp.array([1.0, 1.0, 2.0, jnp.nan]), jnp.array([1, 1, 0, 1])

    @jax.jit
    def both(h):
        values, back = jax.vjp(lambda h: cox_partial_likelihood(h, t, e, mask=np.arange(4) < 3), h)
        return values, back(jnp.ones(4))[0], cox_partial_likelihood(h[:3], t[:3], e[:3])

    values, gradient, alone = both(h)
    np.testing.assert_allclose(values, [*alone, 0.0], rtol=1e-6)
    assert np.isfinite(gradient).all()
    assert gradient[3] == 0


def test_hazards_of_any_size_are_finite():
    h, t, e = jnp.array([1e4, -1e4, 0.0, 1e4]), jnp.array([1.0, 1.0, 2.0, 1.0]), jnp.ones(4)
    values, gradient = jax.jit(jax.value_and_grad(lambda h: cox_partial_likelihood(h, t, e).sum()))(h)
    assert np.isfinite(values)
    assert np.isfinite(gradient).all()


X = jnp.ones(3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: cox_partial_likelihood(X, X[:2], X), ValueError, "expected equal shapes, .* times"),
        (lambda: cox_partial_likelihood(X > 0, X, X), TypeError, "expected floating-point input, found bool"),
        (
            lambda: cox_partial_likelihood(X, X, X, mask=X[:2]),
            ValueError,
            r"expected a mask \(3,\), found float32\[2\]",
        ),
        (lambda: cox_partial_likelihood(X, X, X, ties="exact"), ValueError, 'expected ties="breslow" or "efron"'),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
