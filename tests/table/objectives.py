"""Losses of embeddings, sequences, teachers, critics, preferences and rewards: predictions and targets of one example.

An example of a loss in which rows see each other is a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jnn import losses
from tests.table.rows import Loss, Rng, at, floats, integers, like, pair

TABLE = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
CENTER = np.float32([0.1, -0.2, 0.3, 0.0])


def labelled(n: int, *shape: int) -> Callable[[Rng], tuple[np.ndarray, np.ndarray]]:
    """Predictions, and integers below n, one each for their first axes."""
    return lambda rng: (rng.normal(size=shape).astype(np.float32), rng.integers(0, n, shape[:-1]).astype(np.int32))


def spoken(*shape: int) -> Callable[[Rng], tuple[np.ndarray, np.ndarray]]:
    """Logits, and two labels of 1..2."""
    return lambda rng: (rng.normal(size=shape).astype(np.float32), rng.integers(1, 3, 2).astype(np.int32))


def whole(labels: jnp.ndarray, length: int) -> tuple[jnp.ndarray, jnp.ndarray]:
    """Lengths of sequences that are all there."""
    *lead, last = np.shape(labels)
    return jnp.full(lead, length), jnp.full(lead, last)


LOSSES = [
    # embeddings: rows see each other
    Loss("info_nce", losses.info_nce, pair(5, 3)),
    Loss("clip_loss", lambda x, y: losses.clip_loss(x, y, 5.0), pair(5, 3)),
    Loss("batch_hard_triplet_loss", losses.batch_hard_triplet_loss, labelled(2, 5, 3)),
    Loss("vicreg", losses.vicreg, pair(5, 3)),
    Loss("ge2e_loss", lambda x, y: losses.ge2e_loss(x) + losses.ge2e_contrast_loss(y), pair(2, 3, 4)),
    # embeddings: each for itself
    Loss("dino_loss", lambda x, y: losses.dino_loss(x, y, CENTER), pair(4)),
    Loss("arcface", lambda x, y: losses.arcface(x, like(x, TABLE), y, scale=4.0), labelled(3, 4)),
    Loss("capsule_margin_loss", losses.capsule_margin_loss, lambda rng: (*floats(3, 4)(rng), *integers(3)(rng))),
    # sequences
    Loss("ctc_loss", lambda x, y: losses.ctc_loss(x, y, *whole(y, 5)), spoken(5, 3)),
    Loss("transducer_loss", lambda x, y: losses.transducer_loss(x, y, *whole(y, 4)), spoken(4, 3, 3)),
    Loss(
        "chunked_cross_entropy",
        lambda x, y: losses.chunked_cross_entropy(x, like(x, TABLE), y, chunk=2, z_loss=0.1, soft_cap=3.0),
        labelled(3, 4),
    ),
    Loss(
        "permutation_invariant_loss",
        lambda x, y: losses.permutation_invariant_loss(losses.squared_error, x, y),
        pair(2, 3),
    ),
    # teachers, preferences, rewards
    Loss("distillation_loss", losses.distillation_loss, pair(4)),
    Loss("relation_distillation_loss", losses.relation_distillation_loss, pair(3, 2, 4)),
    Loss("dpo_loss", lambda x, y: losses.dpo_loss(at(x, 0), at(x, 1), at(y, 0), at(y, 1)), pair(2)),
    Loss("ppo_loss", lambda x, y: losses.ppo_loss(at(x, 0), at(y, 0), at(y, 1)), pair(2)),
    Loss("group_advantages", lambda x, y: losses.group_advantages(x) + losses.group_advantages(y), pair(3)),
    Loss("grpo_loss", lambda x, y: losses.grpo_loss(at(x, 0), at(y, 0), at(x, 1), at(y, 1)), pair(2)),
    Loss("quantile_regression_loss", losses.quantile_regression_loss, pair(3)),
    Loss(
        "generalized_advantages",
        lambda v, r: losses.generalized_advantages(
            r, jnp.broadcast_to(like(r, np.float32(0.9)), np.shape(r)), at(v, 0)
        ),
        lambda rng: (rng.normal(size=(4, 1)).astype(np.float32), rng.normal(size=3).astype(np.float32)),
    ),
]
