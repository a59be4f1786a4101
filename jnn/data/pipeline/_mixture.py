"""Several sources as one, in fixed proportions.

Laws: the shares are kept in every stretch, not on average; each source is shuffled by itself, and begins a new epoch
of its own when it is through; the order depends on (sources, weights, seed) alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jnn.data._checked import check_seed
from jnn.data.pipeline._source_batches import Examples
from jnn.optional import optional


def mixture(sources: Mapping[str, Examples], weights: Mapping[str, float], *, seed: int) -> Any:
    """Mixture of sources, without an end, for `SourceBatches(..., seed=None)`: each one's share is its weight's.

    See "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", Raffel et al., 2020,
    section 3.5.2.

    Args:
      sources: name -> examples, as `SourceBatches` takes them. A source's order depends on its name, not its place.
      weights: name -> share, of any sum.
      seed: of all shuffles, 0 to 2**32 - 1.

    Returns:
      A `grain.MapDataset`.

    Raises:
      TypeError: sources or weights without names.
      ValueError: a seed out of range; no sources, an empty one, other names in the weights, or weights that are not
        positive and finite.

    >>> even, odd = [{"x": 0}, {"x": 2}], [{"x": 1}]
    >>> mixed = mixture({"even": even, "odd": odd}, {"even": 2, "odd": 1}, seed=0)
    >>> sum(mixed[i]["x"] % 2 for i in range(300))
    100
    """
    check_seed("mixture", seed, bits=32)
    if not isinstance(sources, Mapping) or not isinstance(weights, Mapping):
        raise TypeError(
            "mixture: expected sources and weights by name, {'web': examples} and {'web': 1.0}, found "
            f"{type(sources).__name__} and {type(weights).__name__}."
        )
    if not sources or sources.keys() != weights.keys():
        raise ValueError(f"mixture: expected a weight for each source, found {sorted(sources)} and {sorted(weights)}.")
    if bad := [name for name in sources if not (0 < weights[name] < math.inf and len(sources[name]))]:
        raise ValueError(f"mixture: expected examples, and weights above 0; found otherwise for {bad}.")
    grain = optional("grain", "pipelines")
    parts = []
    for name, source in sources.items():
        dataset = source if isinstance(source, grain.MapDataset) else grain.MapDataset.source(source)
        parts.append(dataset.seed(_seed(seed, name)).shuffle().repeat())
    return grain.MapDataset.mix(parts, [weights[name] for name in sources])


def _seed(seed: int, name: str) -> int:
    """A seed of its own for each name, by a hash that no two names share."""
    words = np.frombuffer(hashlib.sha256(name.encode()).digest(), "<u4")
    return int(np.random.SeedSequence((int(seed), *words.tolist())).generate_state(1)[0])
