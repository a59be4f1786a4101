"""Self-supervised learning: features without labels, by SimCLR, BYOL, VICReg and a masked autoencoder.

Data      CIFAR-10: pre-training sees the images of 45,000, and no label. What comes after it has the labels of 10,000
          of these, or of 450, 1 % of all. 5,000 others validate: they choose the decay of a probe.
Network   a residual network of three stages of one block, on 16x16 pixels, and in pre-training a projection with batch
          norm behind it; for the masked autoencoder a vision transformer of 8x8 patches of 4x4 pixels.
Methods   "A Simple Framework for Contrastive Learning of Visual Representations", Chen et al., 2020; "Bootstrap Your
          Own Latent", Grill et al., 2020; "VICReg", Bardes, Ponce and LeCun, 2022; "Masked Autoencoders Are Scalable
          Vision Learners", He et al., 2022.
Training  AdamW, rates up and then down to 0 along a cosine; batches of 128 images, in two views each. With labels,
          batches of 64, crops and flips.
Run       python -m experiments.selfsupervised [--methods simclr --workdir runs/simclr]
Measured  test accuracy, one seed; a linear probe of frozen features with 10,000 labels, and the network tuned with 450:
          SimCLR 0.453 and 0.347, MAE 0.419 and 0.312, VICReg 0.413 and 0.326, BYOL 0.382 and 0.309; with labels alone
          the residual network has 0.395 and 0.291, the transformer 0.357 and 0.246 (600 and 200 steps, as the others).
          The features of a network as it was drawn: 0.315. Half an hour on a busy machine.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal

import jax.numpy as jnp
import optax

import jnn
from experiments import datasets, feature_pictures, representations
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.pretraining import drawn_patches, projection, projection_spec
from experiments.representations import Encoder, encode
from experiments.small_images import view
from experiments.training import train
from jnn import models
from jnn.data import Batches
from jnn.losses import negative_cosine, nt_xent, vicreg
from jnn.train import LossOutput, TrainState

SIDE = 32  # pixels of an image


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Features learned without labels."""

    steps: int = 1000
    workdir: str = "runs/selfsupervised"
    methods: tuple[Literal["simclr", "byol", "vicreg", "mae"], ...] = ("simclr", "byol", "vicreg", "mae")
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    width: int = 16  # of the residual network's first stage; the others are twice and four times as wide
    size: int = 16  # pixels of what it sees
    hidden: int = 256  # of projections
    temperature: float = 0.2
    average: float = 0.99  # of BYOL's target, from step to step
    patch: int = 4
    layers: int = 4  # of the vision transformer
    heads: int = 4
    embed: int = 64
    labels: int = 10_000
    few: int = 450
    label_steps: int = 600
    few_steps: int = 200


def network_spec(config: Config, method: str) -> dict:
    """Declares {"encoder"}, and what pre-training alone has beside it."""
    if method == "mae":
        sizes = {"layers": config.layers, "heads": config.heads, "embed": config.embed, "class_token": False}
        decoder = {"decoder_layers": 1, "decoder_heads": config.heads, "decoder_embed": config.embed}
        return models.masked_autoencoder_spec((SIDE, SIDE, 3), config.patch, **sizes, **decoder)
    widths = [config.width * n for n in (1, 2, 4)]
    encoder = models.resnet_spec((1, 1, 1), widths, 1, stem=config.width, kernel=3)
    encoder.pop("out")
    code = config.hidden // 2
    predictor = {"predictor": projection_spec(code, config.hidden, code)} if method == "byol" else {}
    return {"encoder": encoder, "projector": projection_spec(widths[-1], config.hidden, code), **predictor}


def views_loss(params: dict, batch: dict, ctx: Any, config: Config, method: str) -> LossOutput:
    """How far the features of two views of an image are from agreeing, by one of three methods."""
    views = [view(batch["x"], config.size, jnn.path_key(ctx.draw, name)) for name in ("first", "second")]
    views = jnp.stack(views, 1)
    h, seen = encode(params["encoder"], views)
    points = projection(params["projector"], h)
    if method == "byol":
        targets = projection(ctx.memory["projector"], encode(ctx.memory["encoder"], views)[0])
        values = negative_cosine(projection(params["predictor"], points), targets[:, ::-1]).sum(-1)
    else:
        compare = {"simclr": partial(nt_xent, temperature=config.temperature), "vicreg": vicreg}[method]
        values = compare(points[:, 0], points[:, 1])
    return LossOutput(values, batch["weight"], stats=seen)


def mae_loss(params: dict, batch: dict, ctx: Any, config: Config) -> LossOutput:
    """The mean squared error of the patches that are hidden, three of four."""
    x = view(batch["x"], SIDE, jnn.path_key(ctx.draw, "view"), colours=False)
    patches, drawn, hidden = drawn_patches(params, x, jnn.path_key(ctx.draw, "patches"))
    return LossOutput((jnp.square(drawn - patches).mean(-1) * hidden).sum(-1) / hidden.sum(-1), batch["weight"])


def followed(params: dict) -> dict:
    """The part of BYOL's network that its target follows."""
    return {name: params[name] for name in ("encoder", "projector")}


def pretrain(config: Config, method: str, images: dict) -> tuple[TrainState, list]:
    """Trains a network on images, and draws it first."""
    spec = network_spec(config, method)
    loss = mae_loss if method == "mae" else partial(views_loss, method=method)
    follow = lambda memory, params, *_: optax.incremental_update(followed(params), memory, 1 - config.average)
    return train(
        config,
        spec,
        partial(loss, config=config),
        representations.optimizer(config, config.steps),
        Batches(images, config.batch_size, seed=config.seed, drop_last=True),
        every=max(1, config.steps // 10),
        stats=representations.stats_spec(spec["encoder"]),
        name=method,
        **({"memory": followed, "remember": follow} if method == "byol" else {}),
    )


def experiment(config: Config) -> Outcome:
    """Learns features by each method, and measures what they are worth beside networks that have labels alone."""
    data = datasets.cifar10(config.data_dir)
    params, found, encoders, history = {}, {}, {}, []
    for method in config.methods:
        state, rows = pretrain(config, method, {"x": data.train["x"]})
        params[method] = state.params
        history += [{"step": row["step"], f"train/loss_{method}": row["train/loss"]} for row in rows]
        size = SIDE if method == "mae" else config.size
        encoders[method] = Encoder(network_spec(config, method)["encoder"], state.params["encoder"], state.stats, size)
    for method, encoder in encoders.items():
        kind = "vit" if method == "mae" else "resnet"
        if kind not in found:
            found[kind] = representations.from_scratch(config, kind, encoder, data)
        found[method] = representations.from_features(config, method, encoder, data)
    metrics = {f"{name}_{what}": value for name, row in found.items() for what, value in row.items()}
    return Outcome(params, metrics, history, feature_pictures.figures(config, found, encoders, params, data.test))


if __name__ == "__main__":
    launch(experiment, Config)
