"""Permutation-invariant training against SciPy's assignment, plain loops and torchmetrics."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import torch

from jnn import losses
from tests.losses.exact import assert_exact
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))


def of_squares(predictions, targets):
    return losses.permutation_invariant_loss(losses.squared_error, predictions, targets)


@rngs
def test_the_loss_is_the_least_of_all_orders(rng):
    sources = int(rng.integers(1, 5))
    p, y = rng.normal(size=(2, 3, sources, 4))

    def theirs(p, y):
        costs = torch.mean((p[:, None] - y[:, :, None]) ** 2, -1)
        orders = [scipy.optimize.linear_sum_assignment(one.detach().numpy())[1] for one in costs]
        rows = [torch.stack([one[i, j] for i, j in enumerate(order)]) for one, order in zip(costs, orders, strict=True)]
        return torch.stack([row.mean() for row in rows])

    assert_exact(of_squares, theirs, p, y)


@rngs
def test_the_best_order_is_scipys_and_puts_predictions_in_their_place(rng):
    targets = rng.normal(size=(5, 4, 3)).astype(np.float32)
    orders = np.stack([rng.permutation(4) for _ in range(5)])
    predictions = np.take_along_axis(targets, orders[..., None], 1)
    costs = np.square(predictions[:, None] - targets[:, :, None]).mean(-1)
    found = losses.best_permutation(jnp.asarray(costs))
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, np.argsort(orders, -1))
    np.testing.assert_array_equal(jnp.take_along_axis(predictions, found[..., None], axis=-2), targets)
    costs = rng.normal(size=(5, 4, 4))
    expected = [scipy.optimize.linear_sum_assignment(one)[1] for one in costs]
    np.testing.assert_array_equal(losses.best_permutation(jnp.asarray(costs)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("rng", configurations(fast=range(8)), ids=range(20))
def test_training_without_an_order_is_torchmetrics(rng):
    audio = pytest.importorskip("torchmetrics.functional.audio")
    p, y = rng.normal(size=(2, 3, int(rng.integers(2, 6)), 9)).astype(np.float32)
    square = lambda a, b: ((a - b) ** 2).mean(-1)
    best, order = audio.permutation_invariant_training(*map(torch.tensor, (p, y)), square, eval_func="min")
    np.testing.assert_allclose(of_squares(p, y), best, rtol=1e-5)
    found = losses.best_permutation(jnp.asarray(square(p[:, None], y[:, :, None])))
    np.testing.assert_array_equal(found, order)
    expected = audio.pit_permutate(torch.tensor(p), order)
    np.testing.assert_array_equal(jnp.take_along_axis(p, found[..., None], axis=-2), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: of_squares(x, x[:1]), "permutation_invariant_loss: expected equal shapes"),
        (lambda x: of_squares(x[0], x[0]), "expected an array of rank 2 or more"),
        (lambda x: losses.permutation_invariant_loss(jnp.subtract, x, x), r"one number for each source, \(2, 2\) of"),
        (losses.best_permutation, "as many predictions as targets, and 8 at most"),
        (lambda x: losses.best_permutation(jnp.ones((9, 9))), "linear_sum_assignment"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.ones((2, 3)))
