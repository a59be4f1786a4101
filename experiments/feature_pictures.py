"""Pictures of what features are worth: accuracies as bars, nearest neighbours, and what a masked autoencoder draws."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments import pictures
from experiments.pretraining import drawn_patches
from experiments.representations import Encoder, first_rows
from experiments.small_images import whole
from jnn import layers

SHOWN, DRAWN = 2000, 8  # test images among which neighbours are looked for, and those that are drawn
NAMES = {"simclr": "SimCLR", "byol": "BYOL", "vicreg": "VICReg", "mae": "MAE", "resnet": "ResNet", "vit": "ViT"}
KINDS = {  # of an accuracy: what it is of, where there were features, and where there were labels alone
    "whole": ("fine-tuned", "labels alone"),
    "probe": ("linear probe", "linear probe as drawn"),
}


def compared(config: Any, found: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Accuracies by how many labels there were, and then by what they are of."""
    panels: dict[str, dict[str, float]] = {}
    for rows, end in ((config.labels, ""), (config.few, "_few")):
        panels[f"{rows:,} labels"] = {
            f"{NAMES[name]}, {said[name in ('resnet', 'vit')]}": row[kind + end]
            for name, row in found.items()
            for kind, said in KINDS.items()
            if kind + end in row
        }
    return panels


def bars(panels: Mapping[str, Mapping[str, float]]) -> Figure:
    """A panel for each title, a bar for each name, the best on top; those of labels alone in another colour."""
    figure = Figure(figsize=(9.6, 0.9 + 0.27 * max(map(len, panels.values()))), layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        order = sorted(values, key=values.__getitem__)
        colours = [pictures.WARM if "alone" in name else pictures.ACCENT for name in order]
        axes.barh(order, [values[name] for name in order], color=colours, height=0.7)
        for place, name in enumerate(order):
            axes.text(values[name] + 0.005, place, f"{values[name]:.3f}", va="center", fontsize=8, color=pictures.INK)
        axes.set(title=title, xlabel="test accuracy", xlim=(0, 1.18 * max(values.values())))
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def near(encoder: Encoder, part: Mapping[str, np.ndarray]) -> Figure:
    """Some images, and those whose features point in the most similar direction."""
    points = np.asarray(layers.unit_norm(jnp.asarray(encoder.points(part["x"]))))
    return pictures.nearest(points, part["x"], part["y"])


def drawings(p: dict, x: np.ndarray, key: jax.Array) -> Figure:
    """Images, what a masked autoencoder sees of them, and what it draws, with what it has seen in its place."""
    x = whole(jnp.asarray(x), x.shape[1])
    patches, drawn, hidden = jax.jit(drawn_patches)(p, x, key)
    hidden, side = hidden[..., None], p["encoder"]["patch"]["w"].shape[0]
    rows = [patches, jnp.where(hidden, 0.0, patches), jnp.where(hidden, drawn, patches)]
    count = x.shape[1] // side
    images = [layers.pixel_shuffle(row.reshape(len(x), count, count, -1), side) for row in rows]
    return pictures.sheet(np.concatenate(images) * 0.25 + 0.47, len(x), ["image", "seen", "drawn"])


def figures(config: Any, found: Mapping, encoders: Mapping[str, Encoder], params: Mapping, test: Mapping) -> dict:
    """All of them, by caption."""
    shown, key = first_rows(test, SHOWN), jax.random.key(config.seed)
    drawn = lambda: drawings(params["mae"], shown["x"][:DRAWN], key)
    return {
        "Test accuracy, by how many labels there were.": lambda: bars(compared(config, found)),
        **{
            f"{NAMES[name]}: some of {SHOWN:,} test images, and those with the nearest features.": partial(
                near, encoder, shown
            )
            for name, encoder in encoders.items()
        },
        **({"What the masked autoencoder draws of test images.": drawn} if "mae" in params else {}),
    }
