"""A mixture of Gaussians whose noisy versions are known exactly: what the best possible denoiser predicts of it."""

import jax
import jax.numpy as jnp
import numpy as np

from jnn.losses import denoising_target

SHARES, MEANS, SPREAD = np.float32([0.3, 0.7]), np.float32([-2.0, 1.5]), 0.4


def draw(n, seed):
    """n numbers of the mixture."""
    rng = np.random.default_rng(seed)
    return MEANS[rng.choice(2, n, p=SHARES / SHARES.sum())] + SPREAD * rng.normal(size=n)


def denoiser(predict):
    """The mean of the data given x = sqrt(level) data + sqrt(1 - level) noise, said as noise, x0 or v."""

    def denoise(x, level):
        variance = level * SPREAD**2 + 1 - level
        away = x[..., None] - (jnp.sqrt(level) * MEANS).reshape((1,) * x.ndim + (2,))
        logits = jnp.log(SHARES).reshape((1,) * x.ndim + (2,)) - away**2 / (2 * variance)
        each = MEANS.reshape((1,) * x.ndim + (2,)) + jnp.sqrt(level) * SPREAD**2 / variance * away
        x0 = (jax.nn.softmax(logits) * each).sum(-1)
        noise = (x - jnp.sqrt(level) * x0) / jnp.sqrt(1 - level)
        return denoising_target(x0, noise, jnp.broadcast_to(level, x.shape), predict=predict)

    return denoise


def velocity(x, time):
    """The mean of data - noise given x = (1 - time) noise + time data, as `jnn.losses.interpolate_flow` mixes them."""
    size = jnp.hypot(time, 1 - time)
    x0 = denoiser("x0")(x / size, (time / size) ** 2)
    return x0 - (x - time * x0) / (1 - time)
