"""What a pair of an image tower and a text tower is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax

from jnn import checks
from jnn.activations import quick_gelu
from jnn.models._block_choices import check_heads


@dataclasses.dataclass(frozen=True)
class TowerConfig:
    """Tower config: sizes and choices of one of two towers.

    Attributes:
      layers: how many blocks.
      heads: of each.
      embed: the width of the residual stream.
      hidden: the width inside the feed-forward network.
      activation: of the feed-forward network.
      epsilon: of the norms.

    Raises:
      ValueError: a size is none, or heads do not divide embed.

    >>> TowerConfig(layers=2, heads=2, embed=8, hidden=16).epsilon
    1e-05
    """

    layers: int
    heads: int
    embed: int
    hidden: int
    activation: Callable[[jax.Array], jax.Array] = quick_gelu
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "embed", "hidden"):
            checks.count("TowerConfig", name, getattr(self, name))
        check_heads("TowerConfig", self.heads, self.embed)


@dataclasses.dataclass(frozen=True)
class ClipConfig:
    """CLIP config: sizes and choices of a CLIP; `clip_from_hf` reads one.

    Attributes:
      image: (y, x, c), the shape of one image.
      patch: how many pixels a patch is high and wide; what is over at the edges is not seen.
      vocab: how many tokens there are.
      context: how many positions of a text are learned.
      images, texts: the towers.
      vectors: the size of the vectors of both.
      end: the token that ends a text, whose first place is read out; None for that of the greatest number.

    Raises:
      ValueError: a size is none, or there is no whole patch.

    >>> tower = TowerConfig(layers=2, heads=2, embed=8, hidden=16)
    >>> ClipConfig((8, 8, 3), 4, vocab=11, context=6, images=tower, texts=tower, vectors=5).end is None
    True
    """

    image: tuple[int, int, int]
    patch: int
    vocab: int
    context: int
    images: TowerConfig
    texts: TowerConfig
    vectors: int
    end: int | None = None

    def __post_init__(self) -> None:
        check_sizes("ClipConfig", self)
        checks.count("ClipConfig", "vectors", self.vectors)


@dataclasses.dataclass(frozen=True)
class SiglipConfig:
    """SigLIP config: sizes and choices of a SigLIP; `siglip_from_hf` reads one.

    Attributes:
      image, patch, vocab, context: as in `ClipConfig`.
      images, texts: the towers; vectors are as wide as the first.

    Raises:
      ValueError: a size is none, or there is no whole patch.

    >>> tower = TowerConfig(layers=2, heads=2, embed=8, hidden=16, epsilon=1e-6)
    >>> SiglipConfig((8, 8, 3), 4, vocab=11, context=6, images=tower, texts=tower).context
    6
    """

    image: tuple[int, int, int]
    patch: int
    vocab: int
    context: int
    images: TowerConfig
    texts: TowerConfig

    def __post_init__(self) -> None:
        check_sizes("SiglipConfig", self)


def check_sizes(where: str, config: ClipConfig | SiglipConfig) -> None:
    """Raises unless all sizes are 1 or more, and a patch is no larger than the image."""
    for name in ("patch", "vocab", "context"):
        checks.count(where, name, getattr(config, name))
    if len(config.image) != 3 or min(config.image[:2]) < config.patch or config.image[2] < 1:
        raise ValueError(f"{where}: expected image (y, x, c) of patches of {config.patch}, found {config.image}.")
