"""Trees from above, or garments in a scene: boxes found at the points of a feature pyramid, without anchors.

Data      trees: four aerial photographs with 951 boxes (DeepForest's), at 20 cm a pixel in tiles of 160 by 160; one
          photograph of 279 trees tests, the lowest fifth of another validates. garments: Fashion-MNIST's in colours on
          pieces of two photographs, 1,200 scenes; other garments and other parts of the photographs test.
Network   FCOS ("FCOS: Fully Convolutional One-Stage Object Detection", Tian et al., 2019) on a feature pyramid (Lin et
          al., 2017) of strides 4, 8 and 16, over three residual stages with group norm.
Training  Adam, warm-up to 2e-3 and cosine to 0, batches of 8 windows of 128 by 128, scaled and mirrored. Focal loss,
          GIoU, and cross-entropy of the center-ness, each over the points that have a box.
Run       python -m experiments.detect [--scenes garments]
Measured  to be measured
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import pictures
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.scenes import GARMENTS, garment_scenes, tree_scenes
from experiments.training import train
from jnn import boxes as B
from jnn import layers
from jnn.data import Batches, in_order, random_flip_with_boxes, random_resized_crop_with_boxes
from jnn.losses import binary_cross_entropy_with_logits, binary_focal_loss, giou_loss
from jnn.models import PointPredictions, fcos_head, fcos_head_spec
from jnn.train import LossOutput

STRIDES, LIMITS, GROUPS = (4, 8, 16), (0, 16, 32, np.inf), 8
SCENES = {"trees": (tree_scenes, ["tree"]), "garments": (garment_scenes, GARMENTS)}


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Boxes of trees, or of garments."""

    steps: int = 600
    workdir: str = "runs/detect"
    scenes: Literal["trees", "garments"] = "trees"
    batch_size: int = 8
    learning_rate: float = 2e-3
    warmup: int = 50
    widths: tuple[int, int, int, int] = (16, 32, 64, 128)  # of the stem and of the stages
    width: int = 32  # of the pyramid
    depth: int = 1  # of the head's towers


def unit_spec(c_in: int, c_out: int) -> dict:
    return {"conv": layers.conv_spec(c_in, c_out, (3, 3), bias=False), "norm": layers.group_norm_spec(c_out)}


def unit(p: dict, x: jax.Array, stride: int = 1) -> jax.Array:
    return layers.group_norm(p["norm"], layers.conv(p["conv"], x, stride=stride, padding=1), GROUPS)


def network_spec(config: Config, classes: int) -> dict:
    stem, *stages = config.widths
    units = lambda a, b: {"down": unit_spec(a, b), "first": unit_spec(b, b), "second": unit_spec(b, b)}
    return {
        "stem": unit_spec(3, stem),
        "stages": [units(a, b) for a, b in zip(config.widths, stages, strict=False)],
        "pyramid": layers.feature_pyramid_spec(stages, config.width),
        "head": fcos_head_spec(config.width, classes, levels=len(stages), depth=config.depth),
    }


def network(p: dict, x: jax.Array) -> PointPredictions:
    """uint8 images (b, y, x, 3) to what is said at every point of their pyramid."""
    x, maps = jax.nn.relu(unit(p["stem"], (x / 255 - 0.45) / 0.25, 2)), []
    for stage in p["stages"]:
        x = jax.nn.relu(unit(stage["down"], x, 2))
        x = jax.nn.relu(x + unit(stage["second"], jax.nn.relu(unit(stage["first"], x))))
        maps.append(x)
    return fcos_head(p["head"], layers.feature_pyramid(p["pyramid"], maps), groups=GROUPS)


def points_of(size: tuple[int, int]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of every point of the pyramid its place (n, 2), its stride (n,), and the distances that it is for (n, 2)."""
    places = [B.grid_points((-(-size[0] // s), -(-size[1] // s)), s) for s in STRIDES]
    strides, *ranges = (
        jnp.concatenate([jnp.full(len(p), value, jnp.float32) for p, value in zip(places, values, strict=True)])
        for values in (STRIDES, LIMITS[:-1], LIMITS[1:])
    )
    return jnp.concatenate(places), strides, jnp.stack(ranges, -1)


def augment(batch: dict, key: jax.Array, upright: bool) -> dict:
    """A window of each scene, scaled and mirrored, with its boxes."""
    keys = [jnn.path_key(key, name) for name in ("crop", "across", "down")]
    x, boxes, labels = random_resized_crop_with_boxes(
        batch["x"], batch["boxes"], batch["labels"], (128, 128), key=keys[0], area=(0.45, 0.9)
    )
    x, boxes = random_flip_with_boxes(x, boxes, key=keys[1])
    if not upright:
        x, boxes = random_flip_with_boxes(x, boxes, key=keys[2], axis=1)
    return batch | {"x": x, "boxes": boxes, "labels": labels}


def targets_of(boxes: jax.Array, labels: jax.Array, size: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Of every point its box (b, n, 4) and its label (b, n), -1 for none; by centre sampling."""
    points, strides, ranges = points_of(size)
    own = B.assign_points(points, boxes, ranges, radius=1.5 * strides, mask=labels >= 0)
    at = jnp.maximum(own, 0)
    found = jnp.take_along_axis(boxes, at[..., None], -2), jnp.take_along_axis(labels, at, -1)
    return found[0], jnp.where(own >= 0, found[1], B.BACKGROUND)


def boxes_of(found: PointPredictions, size: tuple[int, int]) -> jax.Array:
    """The boxes (b, n, 4) that are predicted."""
    points, strides, _ = points_of(size)
    return B.corners_of_distances(points[None], found.distances * strides[None, :, None])


def loss(params: dict, batch: dict, ctx: Any, upright: bool) -> LossOutput:
    """FCOS's: a sum over points, for each point that has a box; an image counts by the number of these."""
    batch = batch if ctx.key is None else augment(batch, ctx.key, upright)
    size = batch["x"].shape[1:3]
    found = network(params, batch["x"])
    boxes, labels = targets_of(batch["boxes"], batch["labels"], size)
    central = B.centerness(B.distances_of_corners(points_of(size)[0][None], boxes))
    classes, there = found.logits.shape[-1], labels >= 0
    of_classes = classes * binary_focal_loss(found.logits, jax.nn.one_hot(labels, classes), alpha=0.25)
    giou = jnp.where(there, giou_loss(boxes_of(found, size), boxes), 0)
    of_center = jnp.where(there, binary_cross_entropy_with_logits(found.centerness[..., None], central[..., None]), 0)
    positive = jnp.maximum(there.sum(-1), 1)
    weight = batch["weight"] * positive
    metrics = {"giou": jnn.metrics.mean(1 - giou.sum(-1) / positive, weight)}
    return LossOutput((of_classes + giou + of_center).sum(-1) / positive, weight, metrics=metrics)


def detections(found: PointPredictions, size: tuple[int, int]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The boxes (b, 100, 4) that are left of the likeliest 400, their scores and labels, -1 for none."""
    scores = jnp.sqrt(jax.nn.sigmoid(found.logits) * jax.nn.sigmoid(found.centerness)[..., None])
    likeliest, at = jax.lax.top_k(scores.reshape(len(scores), -1), 400)
    point, labels = jnp.divmod(at, scores.shape[-1])
    boxes = jnp.take_along_axis(boxes_of(found, size), point[..., None], -2)
    boxes = jnp.clip(boxes, 0, jnp.tile(jnp.float32(size[::-1]), 2))
    kept = B.non_maximum_suppression(boxes, likeliest, 100, labels=labels, iou_threshold=0.6, score_threshold=0.05)
    boxes = jnp.take_along_axis(boxes, kept.indices[..., None], -2)
    return boxes, kept.scores, jnp.where(kept.mask, jnp.take_along_axis(labels, kept.indices, -1), B.BACKGROUND)


def detect(params: dict, part: dict, batch_size: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Detections in all images of a part."""
    program = jax.jit(lambda params, x: detections(network(params, x), x.shape[1:3]))
    batches = in_order({"x": part["x"]}, min(batch_size, len(part["x"])))
    found = [program(params, batch["x"]) for batch in batches]
    return tuple(np.concatenate(each)[: len(part["x"])] for each in zip(*found, strict=True))


def scores_of(found: tuple[np.ndarray, ...], part: dict, classes: int) -> dict[str, float]:
    """COCO's mean average precision, and that at an overlap of one half."""
    precision = jnn.metrics.mean_average_precision(*found, part["boxes"], part["labels"], num_classes=classes)
    return {"map": float(precision.value()), "map50": float(np.nanmean(precision.precision[0]))}


def experiment(config: Config) -> Outcome:
    """Trains, validates, and finds what is in the test scenes."""
    load, names = SCENES[config.scenes]
    training, validation, test, _ = load(config.data_dir)
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup, config.steps)
    state, history = train(
        config,
        network_spec(config, len(names)),
        functools.partial(loss, upright=config.scenes == "garments"),
        optax.adam(schedule),
        Batches(training, config.batch_size, seed=config.seed),
        every=100,
        validation=in_order(validation, 8),
        clip_norm=10.0,
    )
    found = {name: detect(state.params, part) for name, part in (("val", validation), ("test", test))}
    metrics = {
        f"{name}_{what}": value
        for name, part in (("val", validation), ("test", test))
        for what, value in scores_of(found[name], part, len(names)).items()
    }
    draw = lambda: pictures.detections(test, found["test"], names)
    return Outcome(state.params, metrics, history, {"Test scenes: what is there, and what is found.": draw})


if __name__ == "__main__":
    launch(experiment, Config)
