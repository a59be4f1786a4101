"""Cell nuclei, found and told apart: a U-Net on quarters of one picture, cross-validated, beside Otsu's threshold.

Data      one fluorescence picture of 512x512 with 125 numbered nuclei (StarDist's example). Each quadrant tests once,
          the next one validates, and tiles of the other two train, 32 pixels at least from either, so that no nucleus
          is in two parts. The quadrants' edges cut some nuclei in two: 137 are to be found.
Network   U-Net of widths 16, 32 and 64 ("U-Net: Convolutional Networks for Biomedical Image Segmentation",
          Ronneberger et al., 2015): a pixel is outside, in the rim of a nucleus, or inside it.
Training  dice loss and cross-entropy; Adam, cosine from 1e-2 to 0, batches of 8 tiles, flipped, turned, scaled, bent.
Nuclei    numbered parts of what is inside are seeds, and a watershed gives them the rest of the mask; of Otsu's mask
          the seeds are the peaks of the distance to its edge.
Run       python -m experiments.segment        (with the extra `images`)
Measured  average precision at IoU 0.5, TP / (TP + FP + FN) of all four quadrants, and the area's IoU, five seeds (mean
          and deviation): 0.684+-0.011 and 0.861+-0.010; the same in PyTorch, with its own initial values, 0.688+-0.014
          and 0.856+-0.008. Otsu's threshold and the same watershed: 0.630 and 0.741. One CPU core, 80 seconds each,
          compilation among them; PyTorch's 20.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from scipy import ndimage

import jnn
from experiments import pictures
from experiments.datasets import Data, join_quadrants, nuclei
from experiments.harness import Outcome, launch
from experiments.instances import otsu, peaks, watershed, without_specks
from experiments.options import Common
from experiments.training import train
from jnn.data import Batches, in_order, random_affine, random_flip
from jnn.data.augment import random_elastic
from jnn.models import batch_stats_spec, unet, unet_spec
from jnn.train import LossOutput

SPECK = 20  # pixels, fewer than which are no nucleus
PEAKS = 3  # pixels around a seed of Otsu's mask without a higher one: of 2 to 7 what serves it best in testing


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Cell nuclei, found and told apart."""

    steps: int = 100
    workdir: str = "runs/segment"
    batch_size: int = 8
    tile: int = 64
    learning_rate: float = 1e-2
    widths: tuple[int, ...] = (16, 32, 64)


def augment(x: jax.Array, y: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Another view of each image (b, y, x, 1) and its classes (b, y, x), 0 where it shows what is beyond the tile."""

    def moved(image: jax.Array, method: str) -> jax.Array:
        for axis in (1, 2):
            image = random_flip(image, key=jnn.path_key(key, f"flip{axis}"), axis=axis)
        turned = random_affine(image, key=jnn.path_key(key, "turn"), degrees=180, scale=(0.8, 1.25), method=method)
        return random_elastic(turned, 100.0, 8.0, key=jnn.path_key(key, "bend"), method=method)

    return moved(x, "bilinear"), moved(y[..., None], "nearest")[..., 0]


def networks_spec(config: Config):
    """Declares a network for each quadrant that tests."""
    return jnn.stack(unet_spec(config.widths, 3, channels=1), 4, "folds")


def networks(params, x: jax.Array, stats=None, *, weight: jax.Array | None = None):
    """Each network's logits (b, 4, y, x, 3) on its own images (b, 4, y, x, 1); and statistics."""
    own = lambda tree, i: jax.tree.map(lambda a: a[i], tree)
    # written out: on a CPU a convolution within a loop takes ten times as long
    each = [unet(own(params, i), x[:, i], own(stats, i), weight=weight) for i in range(4)]
    logits, seen = zip(*each, strict=True)
    return jnp.stack(logits, 1), jax.tree.map(lambda *a: jnp.stack(a), *seen)


def loss(params, batch, ctx):
    """Dice loss and cross-entropy of known pixels, the mean over networks; and how far the nuclei's area is found."""
    x, y = batch["x"], batch["y"]
    if ctx.key is not None:
        whole = augment(x.reshape(-1, *x.shape[2:]), y.reshape(-1, *y.shape[2:]), ctx.key)
        x, y = (new.reshape(old.shape) for new, old in zip(whole, (x, y), strict=True))
    known, labels = y > 0, jnp.maximum(y.astype(jnp.int32), 1) - 1
    logits, stats = networks(params, x, ctx.stats, weight=batch["weight"])
    p = jax.nn.softmax(logits)
    overlap = jnn.losses.dice_loss(p, jax.nn.one_hot(labels, 3), mask=known)
    surprise = jnp.mean(jnn.losses.cross_entropy(logits, labels), axis=(2, 3), where=known)
    there = known * batch["weight"][:, None, None, None]
    counts = jnn.metrics.binary_counts(1 - p[..., :1], labels[..., None] > 0, there)
    metrics = {"iou": jnn.metrics.MeanIoU(*counts)}
    return LossOutput((overlap + surprise).mean(1), batch["weight"], metrics=metrics, stats=stats)


@jax.jit
def probabilities(params, stats, x: jax.Array) -> jax.Array:
    """Of each pixel's being outside, in a rim, inside: (b, 4, y, x, 3)."""
    return jax.nn.softmax(networks(params, x, stats)[0])


def found_by_network(p: np.ndarray) -> np.ndarray:
    """Nuclei (y, x), numbered, from probabilities (y, x, 3)."""
    seeds = ndimage.label(p[..., 2] > 0.5)[0]
    return without_specks(watershed(-p[..., 2], seeds, p[..., 0] < 0.5), SPECK)


def found_by_otsu(x: np.ndarray) -> np.ndarray:
    """Nuclei (y, x), numbered, from grey levels: what Otsu's threshold leaves, parted by how far its edge is."""
    smooth = ndimage.gaussian_filter(x, 1)
    mask = smooth > otsu(smooth)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1)
    return without_specks(watershed(-depth, peaks(depth * mask, PEAKS), mask), SPECK)


def scores(found: np.ndarray, ids: np.ndarray) -> dict[str, float]:
    """Average precision at IoU 0.5 and over 0.5 to 0.95, and the area's IoU, of all quadrants (4, y, x) together."""
    numbers = 1 + int(max(found.max(), ids.max()))
    at = tuple(np.linspace(0.5, 0.95, 10))
    precision = jnn.metrics.instance_precision(found, ids, num_instances=numbers, thresholds=at)
    both, either = ((found > 0) & (ids > 0)).sum(), ((found > 0) | (ids > 0)).sum()
    ap = precision.average_precision()
    return {"ap50": float(ap[0]), "ap": float(ap.mean()), "iou": float(both / either)}


def experiment(config: Config) -> Outcome:
    """Trains the four networks, and finds the nuclei of each one's validating and testing quadrant."""
    data, spec = nuclei(config.data_dir, config.tile), networks_spec(config)
    jax.eval_shape(networks, jnn.abstract(spec), data.train["x"])  # raises now for tiles that cannot be halved so often
    state, history = train(
        config,
        spec,
        loss,
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        Batches(data.train, config.batch_size, seed=config.seed, drop_last=True),
        every=50,
        validation=in_order(data.validation, 1),
        stats=batch_stats_spec(spec),
    )
    maps = {name: np.asarray(probabilities(state.params, state.stats, part["x"])[0]) for name, part in held(data)}
    found = {name: np.stack([found_by_network(p) for p in own]) for name, own in maps.items()}
    by_otsu = np.stack([found_by_otsu(x) for x in data.test["x"][0, ..., 0]])
    measured = {name: scores(found[name], part["ids"][0]) for name, part in held(data)}
    measured["otsu"] = scores(by_otsu, data.test["ids"][0])
    return Outcome(
        params=state.params,
        metrics={f"{name}_{what}": value for name, own in measured.items() for what, value in own.items()},
        history=history,
        figures=figures(data.test, maps["test"], {"U-Net": found["test"], "Otsu's threshold": by_otsu}),
    )


def held(data: Data) -> list[tuple[str, dict[str, np.ndarray]]]:
    """What was held out, by name."""
    return [("validation", data.validation), ("test", data.test)]


def figures(test: dict, p: np.ndarray, found: dict[str, np.ndarray]) -> dict[str, Callable[[], Figure]]:
    """Figures of the report, by what they show: the four quadrants in their places."""
    levels, ids = (join_quadrants(part) for part in (test["x"][0, ..., 0].clip(0, 1) ** 0.5, test["ids"][0]))
    apart = 1000 * np.arange(4)[:, None, None]  # two quadrants have other nuclei by one number
    panels = {"true": (levels, {pictures.WARM: ids}), "the probability of inside": (join_quadrants(p[..., 2]), {})}
    for name, own in found.items():
        panels[name] = levels, {pictures.WARM: ids, pictures.ACCENT: join_quadrants(np.where(own > 0, own + apart, 0))}
    caption = (
        "Each quadrant by the network that has not seen it: true nuclei in orange, over them what was found in blue."
    )
    return {caption: lambda: pictures.outlines(panels)}


if __name__ == "__main__":
    launch(experiment, Config)
