"""Diffusion against its formulas in torch: schedules, noise, each prediction under each weight, flows; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import losses
from tests.losses.exact import assert_exact, leading
from tests.oracle import configurations


def test_schedules_are_those_of_the_papers():
    """A loop over the steps' betas; and the ends that the papers speak of."""
    beta, share, linear = np.linspace(1e-4, 0.02, 1000), 1.0, []
    for b in beta:
        share *= 1 - b
        linear.append(share)
    np.testing.assert_allclose(losses.linear_noise_schedule(1000), linear, rtol=1e-6)
    cosine = losses.cosine_noise_schedule(1000)
    f = lambda t: np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(cosine[:-1], f(np.arange(1, 1000) / 1000) / f(0), rtol=1e-5)
    np.testing.assert_allclose(1 - cosine[-1] / cosine[-2], 0.999, rtol=1e-5)  # where beta is cut
    for schedule in (losses.linear_noise_schedule(1000), cosine):
        assert (np.diff(schedule) < 0).all()
        assert ((schedule > 0) & (schedule < 1)).all()


def drawn(rng, n):
    """n arrays of examples, with axes of data or none, and a number in (0, 1) of each example."""
    shape = leading(rng)
    data = tuple(rng.integers(1, 5, rng.integers(0, 3)).tolist())
    return [*(rng.normal(size=shape + data) for _ in range(n)), rng.uniform(0.02, 0.98, shape)]


def over(level, x):
    return level.reshape(level.shape + (1,) * (x.ndim - level.ndim))


def mean_square(error, level):
    return error.square().reshape(*level.shape, -1).mean(-1)


@pytest.mark.parametrize("predict", ["noise", "x0", "v"])
@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_what_is_predicted_and_what_it_costs_are_their_formulas(predict, rng):
    """Each weight is said of the data's error: one of the noise is as much of it as s says, one of v as 1 - a."""
    said, x0, noise, level = drawn(rng, 3)
    most, offset, power = rng.uniform(0.5, 8), *rng.uniform(0.3, 2, 2)

    def ours(said, x0, noise, level):
        loss = losses.denoising_loss(said, x0, noise, level, predict=predict)
        weights = [
            losses.snr_weight(level, predict=predict),
            losses.min_snr_weight(level, predict=predict, most=most),
            losses.p2_weight(level, predict=predict, offset=offset, power=power),
        ]
        target = losses.denoising_target(x0, noise, level, predict=predict)
        parts = [losses.add_noise(x0, noise, level), target, loss, *(w * loss for w in weights)]
        return jnp.concatenate([part.ravel() for part in parts])

    def theirs(said, x0, noise, level):
        a = over(level, x0)
        target = {"noise": noise, "x0": x0, "v": a.sqrt() * noise - (1 - a).sqrt() * x0}[predict]
        loss, s = mean_square(said - target, level), level / (1 - level)
        of_data = {"noise": 1 / s, "x0": 1, "v": 1 - level}[predict]
        weights = [s * of_data, s.clamp(max=most) * of_data, s / (offset + s) ** power * of_data]
        parts = [a.sqrt() * x0 + (1 - a).sqrt() * noise, target, loss, *(w * loss for w in weights)]
        return torch.cat([part.flatten() for part in parts])

    assert_exact(ours, theirs, said, x0, noise, level)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_straight_paths_and_their_velocities_are_their_formulas(rng):
    def ours(said, noise, data, time):
        path, loss = losses.interpolate_flow(noise, data, time), losses.flow_matching_loss(said, noise, data, time)
        return jnp.concatenate([path.ravel(), loss.ravel()])

    def theirs(said, noise, data, time):
        path = noise + over(time, noise) * (data - noise)
        return torch.cat([path.flatten(), mean_square(said - (data - noise), time).flatten()])

    assert_exact(ours, theirs, *drawn(rng, 3))


LEVELS = jnp.array([0.1, 0.5, 0.8, 0.99])


@pytest.mark.parametrize("predict", ["noise", "x0", "v"])
def test_min_snr_and_its_gradient_are_finite_at_both_ends(predict):
    for level in (0.0, 1.0):
        value, slope = jax.value_and_grad(lambda a: losses.min_snr_weight(a, predict=predict))(level)
        assert jnp.isfinite(value)
        assert jnp.isfinite(slope)


X = jnp.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.linear_noise_schedule(0), "1 step or more, found 0"),
        (lambda: losses.linear_noise_schedule(5, last=1.0), "0 < first <= last < 1"),
        (lambda: losses.add_noise(X, X[:1], LEVELS[:2]), "add_noise: expected equal shapes"),
        (lambda: losses.add_noise(X, X, LEVELS), r"a level or time for each example of \(2, 3\), found float32\[4\]"),
        (
            lambda: losses.denoising_target(X, X, LEVELS[:2], predict="eps"),
            r"one of \('noise', 'x0', 'v'\), found 'eps'",
        ),
        (lambda: losses.min_snr_weight(LEVELS, predict="x0", most=0), "most > 0"),
        (lambda: losses.flow_matching_loss(X, X, X[0], LEVELS[:2]), "flow_matching_loss: expected equal shapes"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
