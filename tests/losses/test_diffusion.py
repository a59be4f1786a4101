"""Diffusion: schedules of the papers, what follows from definitions, and weights that turn one loss into another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import losses


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


def draws(level):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=(len(level), 2, 3)).astype(np.float32)) for _ in range(2)]


LEVELS = jnp.array([0.1, 0.5, 0.8, 0.99])


def test_each_prediction_gives_the_data_back():
    x0, noise = draws(LEVELS)
    x, a = losses.add_noise(x0, noise, LEVELS), LEVELS[:, None, None]
    target = {p: losses.denoising_target(x0, noise, LEVELS, predict=p) for p in ("noise", "x0", "v")}
    for found in (
        target["x0"],
        (x - jnp.sqrt(1 - a) * target["noise"]) / jnp.sqrt(a),
        jnp.sqrt(a) * x - jnp.sqrt(1 - a) * target["v"],
    ):
        np.testing.assert_allclose(found, x0, rtol=1e-4, atol=1e-5)
    velocity = noise * 0 + (noise - x0)
    path = lambda t: losses.interpolate_flow(x0, noise, t)
    np.testing.assert_allclose(jax.jvp(path, (LEVELS,), (jnp.ones(4),))[1], velocity, rtol=1e-4, atol=1e-5)
    assert (losses.flow_matching_loss(velocity, x0, noise, LEVELS) < 1e-10).all()


@pytest.mark.parametrize("weight", [losses.snr_weight, losses.min_snr_weight, losses.p2_weight])
def test_weights_mean_the_same_whatever_is_predicted(weight):
    """One error of the data, said as an error of the noise and of v, costs the same under each's weights."""
    x0, noise = draws(LEVELS)
    x, a = losses.add_noise(x0, noise, LEVELS), LEVELS[:, None, None]
    wrong = x0 + 0.1
    said = {"x0": wrong, "noise": (x - jnp.sqrt(a) * wrong) / jnp.sqrt(1 - a)}
    said["v"] = jnp.sqrt(a) * said["noise"] - jnp.sqrt(1 - a) * wrong
    costs = [losses.denoising_loss(said[p], x0, noise, LEVELS, predict=p) * weight(LEVELS, predict=p) for p in said]
    np.testing.assert_allclose(costs[1], costs[0], rtol=1e-3)
    np.testing.assert_allclose(costs[2], costs[0], rtol=1e-3)
    snr = LEVELS / (1 - LEVELS)
    of_x0 = {"snr_weight": snr, "min_snr_weight": jnp.minimum(snr, 5), "p2_weight": snr / (1 + snr)}
    np.testing.assert_allclose(weight(LEVELS, predict="x0"), of_x0[weight.__name__], rtol=1e-5)


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
