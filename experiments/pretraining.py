"""What is beside an encoder while it learns without labels: projections, and the patches that it does not see.

projection_spec(d_in, hidden, d_out), projection(p, h)      a perceptron with batch norm
drawn_patches(p, x, key)                                    of a masked autoencoder, with three of four patches hidden
"""

from __future__ import annotations

import jax

from experiments.datasets import scale_images
from jnn import layers, models


def projection_spec(d_in: int, hidden: int, d_out: int) -> dict:
    """Declares a perceptron with batch norm."""
    inside = {"in": layers.linear_spec(d_in, hidden, bias=False), "norm": layers.batch_norm_spec(hidden)}
    return inside | {"out": layers.linear_spec(hidden, d_out)}


def projection(p: dict, h: jax.Array) -> jax.Array:
    """Features to where they are compared, by statistics of the batch."""
    return layers.linear(p["out"], jax.nn.relu(layers.batch_norm(p["norm"], layers.linear(p["in"], h))[0]))


def drawn_patches(p: dict, x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Patches (b, t, pixels) of images in 0..1, as they are and as they are drawn, and which are hidden (b, t)."""
    x, side = scale_images(255 * x), p["encoder"]["patch"]["w"].shape[0]
    patches = layers.pixel_unshuffle(x, side)
    patches = patches.reshape(len(x), -1, patches.shape[-1])
    visible = models.random_patches(*patches.shape[:2], max(1, patches.shape[1] // 4), key=key)
    hidden = 1 - jax.nn.one_hot(visible, patches.shape[1]).sum(1)
    return patches, models.masked_autoencoder(p, x, visible), hidden
