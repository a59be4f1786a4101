"""Retrieval of pictures by texts and of texts by pictures: how often the right one, and what that looks like.

Scores are (pictures, texts); picture i and text i belong together.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments import pictures
from jnn.metrics import recall_at_k

AT = (1, 5)
BEST = 3  # texts below a picture
WIDTH = 22  # letters of a text


def recalls(scores: np.ndarray) -> dict[str, float]:
    """How often a picture's own text is the best or among the best five, and a text's own picture.

    >>> recalls(np.array([[1.0, 0.0], [2.0, 1.5]]))
    {'texts_at_1': 0.5, 'texts_at_5': 1.0, 'pictures_at_1': 0.5, 'pictures_at_5': 1.0}
    """
    own = jnp.eye(len(scores))
    both = {"texts": jnp.asarray(scores), "pictures": jnp.asarray(scores).T}
    at = lambda s, k: float(recall_at_k(s, own, min(k, len(scores))).value())
    return {f"{name}_at_{k}": at(s, k) for name, s in both.items() for k in AT}


def chance(n: int) -> dict[str, float]:
    """`recalls` of scores that say nothing, of n pictures."""
    return {f"{name}_at_{k}": min(1.0, k / n) for name in ("texts", "pictures") for k in AT}


def found_texts(images: np.ndarray, texts: Sequence[str], scores: np.ndarray, shown: int = 24) -> Figure:
    """Pictures, and below each the three texts that fit best: its own in blue, others in orange."""
    rows = np.linspace(0, len(images) - 1, min(shown, len(images))).astype(int)
    columns = 6
    figure = Figure(figsize=(1.75 * columns, 1.75 * -(-len(rows) // columns)), layout="constrained")
    for place, i in enumerate(rows):
        axes = figure.add_subplot(-(-len(rows) // columns), columns, place + 1)
        axes.imshow(images[i])
        axes.axis("off")
        for line, j in enumerate(np.argsort(-scores[i], kind="stable")[:BEST]):
            text = texts[j] if len(texts[j]) <= WIDTH else texts[j][: WIDTH - 1] + "…"
            colour = pictures.ACCENT if i == j else pictures.WARM
            how = {"ha": "center", "va": "top", "fontsize": 8, "transform": axes.transAxes, "parse_math": False}
            axes.text(0.5, -0.04 - 0.15 * line, text, color=colour, **how)
    return figure


def found_pictures(scores: Mapping[str, np.ndarray], images: np.ndarray, shown: int = 8) -> Figure:
    """A row for each text: the pictures that fit it best, by their scores (pictures,)."""
    best = np.argsort(-np.stack([*scores.values()]), axis=1, kind="stable")[:, :shown]
    return pictures.sheet(images[best.ravel()], best.shape[1], rows=[textwrap.fill(text, 12) for text in scores])


def figures(
    name: str, images: np.ndarray, texts: Sequence[str], scores: np.ndarray, words: Mapping[str, np.ndarray]
) -> dict[str, Callable[[], Figure]]:
    """Figures of a report, by what they show: of pictures in 0..1, their texts, and the scores of both and of words."""
    return {
        f"{name}: unseen pictures, and the texts that fit best; the right one in blue.": partial(
            found_texts, images, texts, scores
        ),
        f"{name}: words, and the unseen pictures that fit best.": partial(found_pictures, words, images),
    }
