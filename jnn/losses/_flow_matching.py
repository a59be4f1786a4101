"""Flow matching: straight paths from noise to data, and the velocity along them.

The times say which axes are the examples': (...) of data (..., *data). In float32 at least, but what is between
noise and data, which keeps its dtype. To sample, follow the velocity from noise, at time 0, to time 1.
"""

from __future__ import annotations

import jax

from jnn.losses._diffusion import levels, mean_square
from jnn.precision import wide


def interpolate_flow(noise: jax.Array, data: jax.Array, time: jax.Array) -> jax.Array:
    """Rectified flow's straight path: `(1 - time) * noise + time * data`.

    See "Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow", Liu, Gong and Liu, 2022.

    Args:
      noise: (..., *data), floating point.
      data: the same shape.
      time: (...), in [0, 1]: 0 is noise, 1 is data.

    Returns:
      (..., *data), in data's dtype.

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit.

    >>> import jax.numpy as jnp
    >>> interpolate_flow(jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.array([0.25]))
    Array([[0.25, 0.25]], dtype=float32)
    """
    time = levels("interpolate_flow", time, noise=noise, data=data)
    return ((1 - time) * wide(noise) + time * wide(data)).astype(data.dtype)


def flow_matching_loss(velocities: jax.Array, noise: jax.Array, data: jax.Array, time: jax.Array) -> jax.Array:
    """Flow matching, rectified flow: the mean squared error of the velocity along the straight path, data - noise.

    See "Flow Matching for Generative Modeling", Lipman et al., 2023; "Flow Straight and Fast: Learning to Generate and
    Transfer Data with Rectified Flow", Liu, Gong and Liu, 2023.

    Args:
      velocities: (..., *data), floating point: what the network made of `interpolate_flow(noise, data, time)`.
      noise, data, time: as there.

    Returns:
      (...): the mean over an example.

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit.

    >>> import jax.numpy as jnp
    >>> flow_matching_loss(jnp.ones((1, 2)), jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.array([0.5]))
    Array([0.], dtype=float32)
    """
    levels("flow_matching_loss", time, velocities=velocities, noise=noise, data=data)
    return mean_square(wide(velocities) - (wide(data) - wide(noise)), time)
