"""Weights of noise levels: how much each counts in `denoising_loss`, which they multiply.

| weight           | of the loss of x0, at signal-to-noise ratio s |
|------------------|-----------------------------------------------|
| `snr_weight`     | s: the plain loss of the noise                |
| `min_snr_weight` | min(s, most)                                  |
| `p2_weight`      | s / (offset + s)^power                        |

Law: an error of the data, said as one of the noise or of v, costs the same under the weight for what is predicted.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.losses._diffusion import Predict, choose
from jnn.losses._inputs import positive
from jnn.precision import wide


def snr_weight(level: jax.Array, *, predict: Predict) -> jax.Array:
    """Signal-to-noise weighting: whatever is predicted, the loss is that of the noise.

    Args:
      level: (...), in [0, 1]; below 1 for "x0", whose weight level / (1 - level) has no bound.
      predict: what the network predicts, "noise", "x0" or "v".

    Returns:
      (...): what to multiply `denoising_loss` with.

    Raises:
      ValueError: predict is none of these.

    >>> snr_weight(jnp.array([0.75]), predict="x0")
    Array([3.], dtype=float32)
    """
    level = wide(jnp.asarray(level))
    return choose("snr_weight", predict, jnp.ones_like(level), level / (1 - level), level)


def min_snr_weight(level: jax.Array, *, predict: Predict, most: jax.Array | float = 5.0) -> jax.Array:
    """Min-SNR weighting: of x0's loss, the signal-to-noise ratio or `most` (gamma), whichever is less.

    See "Efficient Diffusion Training via Min-SNR Weighting Strategy", Hang et al., 2023.

    Args:
      level: (...), in [0, 1], both ends included.
      predict: what the network predicts, "noise", "x0" or "v".
      most: above 0.

    Returns:
      (...): what to multiply `denoising_loss` with.

    Raises:
      ValueError: predict is none of these, or most <= 0.

    >>> min_snr_weight(jnp.array([0.75, 0.875, 1.0]), predict="x0")
    Array([3., 5., 5.], dtype=float32)
    """
    level = wide(jnp.asarray(level))
    most = positive("min_snr_weight", "most", most, level)
    # level against most * (1 - level): no ratio, so both ends are finite
    signal, noise = level, most * (1 - level)
    cut = ~(noise >= signal)  # NaN, too
    of_noise = jnp.where(cut, noise / jnp.where(cut, signal, 1), 1)
    of_x0 = jnp.where(cut, most, signal / jnp.where(cut, 1, 1 - level))
    return choose("min_snr_weight", predict, of_noise, of_x0, jnp.minimum(signal, noise))


def p2_weight(
    level: jax.Array, *, predict: Predict, offset: jax.Array | float = 1.0, power: jax.Array | float = 1.0
) -> jax.Array:
    """P2 weighting: of the noise's loss, `(offset + signal-to-noise ratio) ** -power`; fine details count less.

    See "Perception Prioritized Training of Diffusion Models", Choi et al., 2022.

    Args:
      level: (...), in [0, 1]; below 1 for "x0".
      predict: what the network predicts, "noise", "x0" or "v".
      offset, power: k and gamma in the paper, above 0.

    Returns:
      (...): what to multiply `denoising_loss` with.

    Raises:
      ValueError: predict is none of these, or offset or power <= 0.

    >>> p2_weight(jnp.array([0.75, 0.0]), predict="noise")
    Array([0.25, 1.  ], dtype=float32)
    """
    level = wide(jnp.asarray(level))
    offset, power = (positive("p2_weight", name, v, level) for name, v in (("offset", offset), ("power", power)))
    of_noise = ((1 - level) / (offset * (1 - level) + level)) ** power
    return choose("p2_weight", predict, of_noise, of_noise * level / (1 - level), of_noise * level)
