"""Samplers give a mixture back whose denoiser is exact; orders of convergence; DDPM is DDIM with its noise; errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnn.diffusion import (
    ddim_sample,
    ddpm_sample,
    euler_sample,
    guided,
    heun_sample,
    karras_noise_levels,
    noise_time,
    probability_flow,
    sampling_levels,
)
from jnn.losses import cosine_noise_schedule, linear_noise_schedule
from tests.diffusion.mixtures import MEANS, SHARES, SPREAD, denoiser, draw, velocity

KEY, ROWS = jax.random.key(0), 2000
LEVELS = sampling_levels(linear_noise_schedule(1000), 100)
SIGMAS = karras_noise_levels(40, most=40.0, least=0.01)

SAMPLERS = {
    "ddpm": lambda x, key: ddpm_sample(denoiser("noise"), x, LEVELS, predict="noise", key=key),
    "ddpm, large": lambda x, key: ddpm_sample(denoiser("v"), x, LEVELS, predict="v", key=key, variance="large"),
    "ddim": lambda x, key: ddim_sample(denoiser("x0"), x, LEVELS, predict="x0"),
    "ddim, half": lambda x, key: ddim_sample(denoiser("v"), x, LEVELS, predict="v", eta=0.5, key=key),
    "euler": lambda x, key: euler_sample(velocity, x, np.linspace(0, 1, 101)),
    "heun": lambda x, key: heun_sample(velocity, x, np.linspace(0, 1, 41)),
    "heun, karras": lambda x, key: heun_sample(probability_flow(denoiser("v"), predict="v"), SIGMAS[0] * x, SIGMAS),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_exact_denoiser_gives_the_mixture_back(name):
    """Of five seeds, the smallest p-value is below 0.001 in one case of 200."""
    sample = jax.jit(jax.vmap(lambda key: SAMPLERS[name](jax.random.normal(key, (ROWS,)), jax.random.fold_in(key, 1))))
    drawn = np.asarray(sample(jax.random.split(KEY, 5)))
    apart = [stats.ks_2samp(one, draw(ROWS, seed)).pvalue for seed, one in enumerate(drawn)]
    assert min(apart) > 1e-3, apart
    assert stats.kstest(drawn.ravel(), cumulated).statistic < 0.025
    mean = SHARES @ MEANS
    variance = SPREAD**2 + SHARES @ (MEANS - mean) ** 2
    assert drawn.mean() == pytest.approx(float(mean), abs=float(4 * np.sqrt(variance / drawn.size)) + 0.01)
    assert drawn.var() == pytest.approx(float(variance), rel=0.04)


def cumulated(x):
    return (SHARES * stats.norm.cdf((np.asarray(x)[:, None] - MEANS) / SPREAD)).sum(-1)


def test_a_wrong_denoiser_does_not():
    """The tests above can fail."""
    wrong = lambda x, level: 0.9 * denoiser("x0")(x, level)
    drawn = ddim_sample(wrong, jax.random.normal(KEY, (ROWS,)), LEVELS, predict="x0")
    assert stats.ks_2samp(np.asarray(drawn), draw(ROWS, 0)).pvalue < 1e-3


@pytest.mark.parametrize("predict", ["noise", "x0", "v"])
def test_ddim_with_all_its_noise_is_ddpm(predict):
    x = jax.random.normal(KEY, (3, 4))
    how = {"predict": predict, "key": jax.random.key(1), "clip": 1.5}
    ddpm = ddpm_sample(denoiser(predict), x, LEVELS, **how)
    np.testing.assert_allclose(ddim_sample(denoiser(predict), x, LEVELS, eta=1.0, **how), ddpm, rtol=2e-3, atol=2e-4)


def gaussian_flow(x, time, mean=1.5, spread=0.5):
    """The velocity from the standard normal to a Gaussian; x at time 0 becomes mean + spread x."""
    variance = (time * spread) ** 2 + (1 - time) ** 2
    return mean + (time * spread**2 - (1 - time)) / variance * (x - time * mean)


def gaussian_noise(x, level, mean=1.5, spread=0.5):
    """The noise in a Gaussian's noisy version; the flow keeps how many deviations x is from its mean."""
    return jnp.sqrt(1 - level) / (level * spread**2 + 1 - level) * (x - jnp.sqrt(level) * mean)


def flow_error(sample, steps):
    x = jnp.linspace(-2, 2, 9)
    return np.abs(sample(gaussian_flow, x, np.linspace(0, 1, steps + 1)) - (1.5 + 0.5 * x)).max()


def karras_error(sample, steps):
    """Down to the least deviation: the step from there to 0 is as long, however many there are."""
    sigmas = karras_noise_levels(steps, most=20.0, least=0.05)[:-1]
    x = 20 * jnp.linspace(-2, 2, 9)
    exact = 1.5 + (x - 1.5) * np.hypot(0.5, sigmas[-1]) / np.hypot(0.5, sigmas[0])
    return np.abs(sample(probability_flow(gaussian_noise, predict="noise"), x, sigmas) - exact).max()


@pytest.mark.parametrize(("sample", "order"), [(euler_sample, 1), (heun_sample, 2)], ids=["euler", "heun"])
@pytest.mark.parametrize("error", [flow_error, karras_error])
def test_orders_of_convergence(sample, order, error):
    errors = [error(sample, steps) for steps in (32, 64, 128)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.35)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.25)


def test_ddim_converges_to_the_probability_flow():
    x, schedule = jnp.linspace(-2, 2, 9), cosine_noise_schedule(1000)[:980]
    share = schedule[-1]
    exact = 1.5 + 0.5 * (x - np.sqrt(share) * 1.5) / np.sqrt(share * 0.25 + 1 - share)
    missed = lambda steps: np.abs(
        ddim_sample(gaussian_noise, x, sampling_levels(schedule, steps), predict="noise") - exact
    )
    errors = [missed(steps).max() for steps in (35, 70, 140)]
    assert errors[0] > 1.7 * errors[1] > 1.7**2 * errors[2]
    assert errors[2] < 0.03


def test_a_part_of_the_levels_is_a_part_of_the_way():
    x, how = jax.random.normal(KEY, (5,)), {"predict": "v"}
    half = ddim_sample(denoiser("v"), x, LEVELS[:51], **how)
    whole = ddim_sample(denoiser("v"), x, LEVELS, **how)
    np.testing.assert_allclose(ddim_sample(denoiser("v"), half, LEVELS[50:], **how), whole, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_dtypes_stay_and_levels_may_be_traced(dtype):
    x = jnp.ones((2, 3), dtype)
    found = jax.jit(lambda x, levels: ddpm_sample(denoiser("x0"), x, levels, predict="x0", key=KEY))(x, LEVELS[-3:])
    assert found.dtype == x.dtype
    assert euler_sample(velocity, x, LEVELS[-3:] * 0.9).dtype == x.dtype
    assert heun_sample(velocity, x, LEVELS[-3:] * 0.9).dtype == x.dtype


def test_data_is_clipped():
    far = lambda x, level: jnp.full_like(x, 9.0)
    for found in (
        ddim_sample(far, jnp.zeros(3), LEVELS, predict="x0", clip=1.0),
        ddpm_sample(far, jnp.zeros(3), LEVELS, predict="x0", clip=1.0, key=KEY),
    ):
        np.testing.assert_allclose(found, 1.0, rtol=1e-6)


def test_guidance_is_a_line_through_both_predictions():
    with_, without = denoiser("x0"), lambda x, level: x * level
    x, level = jnp.linspace(-1, 1, 5), jnp.float32(0.4)
    at = lambda scale: guided(with_, without, scale)(x, level)
    np.testing.assert_allclose(at(1.0), with_(x, level), rtol=1e-6)
    np.testing.assert_allclose(at(0.0), without(x, level), rtol=1e-6)
    np.testing.assert_allclose(at(3.0) - at(2.0), at(1.0) - at(0.0), atol=1e-6)


def test_guided_samples_are_of_the_sharpened_distribution():
    """Of two Gaussians of one width: guidance moves the mean by as much again, at any level."""
    noise = lambda mean: lambda x, level: gaussian_noise(x, level, mean=mean)
    drawn = ddim_sample(guided(noise(1.0), noise(0.0), 3.0), jnp.zeros(1), LEVELS, predict="noise")
    np.testing.assert_allclose(drawn, ddim_sample(noise(3.0), jnp.zeros(1), LEVELS, predict="noise"), rtol=1e-4)


def test_levels_are_those_of_the_schedule_and_times_lead_back():
    schedule = linear_noise_schedule(1000)
    np.testing.assert_array_equal(sampling_levels(schedule, 1000), np.append(schedule[::-1], np.float32(1)))
    levels = sampling_levels(schedule, 7)
    assert levels[0] == schedule[-1]
    assert (np.diff(levels) > 0).all()
    np.testing.assert_array_equal(noise_time(schedule, jnp.float32(schedule)), np.arange(1000))
    assert 500 < float(noise_time(schedule, jnp.float32(schedule[500:502].mean()))) < 501
    np.testing.assert_array_equal(noise_time(schedule, jnp.float32([1.0, 0.0])), [0, 999])
    sigmas = karras_noise_levels(10, most=80.0, least=0.002)
    np.testing.assert_allclose(sigmas[[0, -2, -1]], [80, 0.002, 0], rtol=1e-5)
    assert (np.diff(sigmas) < 0).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: ddpm_sample(velocity, x, LEVELS, predict="x0", key=None), TypeError, "expected one PRNG key"),
        (lambda x: ddim_sample(velocity, x, LEVELS, predict="x0", eta=0.5), TypeError, "expected one PRNG key"),
        (lambda x: ddim_sample(velocity, x, LEVELS, predict="x0", eta=2.0), ValueError, r"eta in \[0, 1\], found 2.0"),
        (lambda x: ddim_sample(velocity, x, LEVELS, predict="score"), ValueError, 'expected predict to be "noise"'),
        (lambda x: ddim_sample(velocity, x, LEVELS[:1], predict="v"), ValueError, "two levels or times at least"),
        (lambda x: ddim_sample(velocity, x, np.arange(9), predict="v"), ValueError, r"levels in \[0, 1\].*0.0 to 8.0"),
        (lambda x: ddim_sample(lambda x, _: x[:1], x, LEVELS, predict="v"), ValueError, "prediction"),
        (
            lambda x: ddpm_sample(velocity, x, LEVELS, predict="v", key=KEY, variance="b"),
            ValueError,
            '"small" or "large"',
        ),
        (lambda x: euler_sample(velocity, x.astype(int), LEVELS), TypeError, "euler_sample"),
        (lambda x: heun_sample(velocity, x, jnp.float32(1)), ValueError, "two levels or times at least"),
        (lambda x: euler_sample(lambda x, _: x[:1], x, LEVELS), ValueError, "euler_sample: .*velocity"),
        (lambda x: heun_sample(lambda x, _: x[:1], x, LEVELS), ValueError, "heun_sample: .*velocity"),
        (lambda x: sampling_levels(LEVELS, 0), ValueError, "expected 1 to 101 steps"),
        (lambda x: karras_noise_levels(3, least=0.0), ValueError, "0 < least <= most"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(jnp.ones(3))


def test_levels_may_fall_where_nothing_is_drawn():
    """Of a fixed noise DDIM goes along one line, in both directions."""
    noise, x = jnp.array([1.0, -2.0]), jnp.array([3.0, 0.5])
    at = lambda level: level**0.5 * x + (1 - level) ** 0.5 * noise
    found = ddim_sample(lambda x, _: noise, at(0.9), jnp.array([0.9, 0.5, 0.2]), predict="noise")
    np.testing.assert_allclose(found, at(0.2), rtol=1e-5)
