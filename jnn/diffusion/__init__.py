"""Diffusion: samplers, which draw data from any network that tells noise from data, and the levels that they pass.

    ddpm_sample, ddim_sample(denoise, x, levels, ...)       by shares of the data's variance, as schedules of noise have
    euler_sample, heun_sample(slope, x, times)              along a velocity: a flow's, or `probability_flow(denoise)`'s
    guided(conditional, unconditional, scale)               classifier-free guidance of either kind

A denoiser is a function `denoise(x, level) -> prediction`, with one level of all rows. What lives here samples; what
does not: losses and schedules that training needs (`jnn.losses`), networks (`jnn.models`).
"""

from jnn.diffusion._guidance import guided
from jnn.diffusion._levels import karras_noise_levels, noise_time, sampling_levels
from jnn.diffusion._ode import euler_sample, heun_sample, probability_flow
from jnn.diffusion._samplers import ddim_sample, ddpm_sample

__all__ = [
    "ddim_sample",
    "ddpm_sample",
    "euler_sample",
    "guided",
    "heun_sample",
    "karras_noise_levels",
    "noise_time",
    "probability_flow",
    "sampling_levels",
]
