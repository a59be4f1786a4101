"""Published networks of images in two parts: what stays as it is, and the last stage, which may be tuned.

    TRUNKS[name](data_dir) -> Trunk
    trunk.below(images, size) -> maps     of all images once, since nothing below the last stage changes
    trunk.above(params, maps) -> features
    of_all(f, params, x) -> rows          a few at a time
    cached(path, compute) -> rows         once in the life of a run

Law: above of below is the network before its logits (`tests/experiments/test_transfer_images.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.chunks import in_chunks
from experiments.efficientnet import lite0
from experiments.training import first
from jnn.data import find
from jnn.files import writing
from jnn.interop.torch import load_with_stats
from jnn.layers import global_avg_pool, resize
from jnn.models import (
    RESNETS,
    TORCHVISION_RESNET,
    batch_stats_spec,
    efficientnet_lite_maps,
    resnet_maps,
    resnet_spec,
)
from jnn.optional import optional
from jnn.terminal import say

AUGNET = "weights/resnet50_augnet/model.pth"
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])  # of ImageNet's pixels in 0..1
CHUNK = 50  # images that are computed at a time


class Trunk(NamedTuple):
    """A network that others have trained.

    params, stats: of all of it, but for its logits.
    maps: (params, x, stats) -> (maps, stats), of those stages that params has.
    scaled: pixels in 0..255 as it reads them.
    last: the parts that may be tuned; their batch norms keep the statistics that they have.
    """

    params: dict[str, Any]
    stats: dict[str, Any]
    maps: Callable[..., tuple[jax.Array, Any]]
    scaled: Callable[[jax.Array], jax.Array]
    last: tuple[str, ...]

    def tuned(self) -> dict[str, Any]:
        """A copy of the parameters of the last stage."""
        return {name: jax.tree.map(jnp.copy, self.params[name]) for name in self.last}

    def below(self, images: np.ndarray, size: int) -> np.ndarray:
        """Maps (n, y, x, c), float16, of uint8 images that are resized to so many pixels a side."""
        fixed = {name: part for name, part in self.params.items() if name not in self.last}

        def maps(held, x):
            x = self.scaled(resize(x.astype(jnp.float32), (size, size)))
            return self.maps(held[0], x, held[1])[0].astype(jnp.float16)

        return of_all(maps, (fixed, self.stats), images)

    def above(self, params: dict[str, Any], maps: jax.Array) -> jax.Array:
        """Features (b, d) of maps, by parameters of the last stage."""
        return global_avg_pool(self.maps(params, maps.astype(jnp.float32), self.stats)[0])


def of_lite0(data_dir: str | None = None) -> Trunk:
    """EfficientNet-Lite0, trained on ImageNet with labels: 1,280 features; the last two stages and what follows."""
    params, stats = lite0(data_dir)
    del params["out"]
    maps = lambda p, x, stats: efficientnet_lite_maps(p, x, stats, key=None)
    return Trunk(params, stats, maps, lambda x: (x - 127) / 128, ("stage6", "stage7", "last"))


def of_augnet(data_dir: str | None = None) -> Trunk:
    """ResNet-50 by AugNet, trained on ImageNet without labels: 2,048 features."""
    path = find(data_dir, AUGNET, how="put AugNet's ResNet-50 there")
    tensors = optional("torch", "test").load(path, weights_only=True, map_location="cpu")
    spec = resnet_spec(**RESNETS["resnet50"], classes=768)
    named = {name.removeprefix("module.pre."): tensor for name, tensor in tensors.items()}
    params, stats = load_with_stats(spec, batch_stats_spec(spec), named, TORCHVISION_RESNET)
    del params["out"]
    maps = lambda p, x, stats: resnet_maps(p, x, stats, key=None)
    return Trunk(
        params, stats, maps, lambda x: (x / 255 - MEAN[None, None, None]) / DEVIATION[None, None, None], ("stage4",)
    )


TRUNKS: dict[str, Callable[[str | None], Trunk]] = {"lite0": of_lite0, "augnet": of_augnet}


def of_all(f: Callable[[Any, jax.Array], jax.Array], params: Any, x: np.ndarray) -> np.ndarray:
    """`f(params, rows)` of all rows x (n, ...), by one program."""
    run = jax.jit(f)
    return in_chunks(lambda batch: run(params, batch["x"]), {"x": x}, CHUNK)


def cached(path: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Rows that are computed once in the life of a run: read from the file, where there is one."""
    if not path.exists():
        start = time.perf_counter()
        rows = compute()
        say(f"{path.stem}: {len(rows):,} images, {len(rows) / (time.perf_counter() - start):.0f} a second")
        if not first():
            return rows
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path) as file:
            np.save(file, rows)
    return np.load(path, mmap_mode="r")
