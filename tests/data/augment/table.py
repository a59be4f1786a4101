"""One row per augmentation; `test_laws.py` runs every law over every row. A new one joins by adding a row."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.data import augment as a

ROWS_OF_A_BATCH = 8


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """An augmentation as the laws see it.

    name: shown in test ids.
    apply: `(x, lengths, key) -> x`, or a tuple of which the first is x.
    batch: `(rng) -> x`, eight rows.
    dtypes: that it takes; for images also what it should agree on.
    expects: how an input of the wrong rank is refused; "" where any rank will do.
    mixes: True where rows see each other.
    error: of its floating-point arithmetic, in units of white.
    slow: True where laws that compile are left to `-m slow`.
    """

    name: str
    apply: Callable[..., Any]
    batch: Callable[[np.random.Generator], np.ndarray]
    dtypes: tuple[Any, ...]
    expects: str
    mixes: bool = False
    error: float = 1e-5
    slow: bool = False


def images(name, apply, *, mixes=False, error=1e-5, expects="a non-empty batch of images", slow=False):
    """A row for images, 6 by 5 pixels in RGB."""
    batch = lambda rng: rng.integers(0, 256, (ROWS_OF_A_BATCH, 6, 5, 3)).astype(np.uint8)
    dtypes = (jnp.uint8, jnp.float32, jnp.bfloat16)
    return Augmentation(name, lambda x, n, key: apply(x, key), batch, dtypes, expects, mixes, error, slow)


def waves(name, apply, dtypes=(jnp.float32, jnp.bfloat16)):
    """A row for waveforms of up to 20 samples."""
    batch = lambda rng: rng.normal(size=(ROWS_OF_A_BATCH, 20)).astype(np.float32)
    return Augmentation(name, apply, batch, dtypes, "a non-empty batch of")


def tokens(name, apply):
    """A row for token ids: 5..29 are ordinary."""
    batch = lambda rng: rng.integers(5, 30, (ROWS_OF_A_BATCH, 20)).astype(np.int32)
    return Augmentation(name, apply, batch, (jnp.int32, jnp.int16, jnp.uint8), "token ids")


LABELS = jnp.arange(ROWS_OF_A_BATCH) % 3
BOXES = jnp.asarray([[[0.0, 1.0, 3.0, 5.0], [2.0, 2.0, 5.0, 6.0]]] * ROWS_OF_A_BATCH)
BOX_LABELS = jnp.asarray([[0, 2]] * ROWS_OF_A_BATCH)

IMAGES = [
    images("random_crop", lambda x, key: a.random_crop(x, 2, key=key)),
    images("random_resized_crop", lambda x, key: a.random_resized_crop(x, (6, 5), key=key)),
    images("random_flip", lambda x, key: a.random_flip(x, key=key)),
    images("random_flip-upside-down", lambda x, key: a.random_flip(x, key=key, axis=1)),
    images("random_rotate", lambda x, key: a.random_rotate(x, 30, key=key)),
    images(
        "random_affine",
        lambda x, key: a.random_affine(x, degrees=20, translate=0.2, scale=(0.8, 1.2), shear=0.2, key=key),
    ),
    images("random_affine-nearest", lambda x, key: a.random_affine(x, scale=(0.5, 2.0), method="nearest", key=key)),
    images("random_perspective", lambda x, key: a.random_perspective(x, 0.5, key=key), slow=True),
    images("random_elastic", lambda x, key: a.random_elastic(x, 4.0, 0.7, key=key), slow=True),
    images(
        "color_jitter",
        lambda x, key: a.color_jitter(x, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, key=key),
        error=0.02,  # uint8 is rounded between its steps
    ),
    images("random_blur", lambda x, key: a.random_blur(x, key=key)),
    images("cutout", lambda x, key: a.cutout(x, 3, key=key)),
    images("random_erasing", lambda x, key: a.random_erasing(x, key=key, area=(0.2, 0.4))),
    images("rand_augment", lambda x, key: a.rand_augment(x, key=key), error=0.03),
    images("augmix", lambda x, key: a.augmix(x, key=key, chains=2, depth=2), error=0.03, slow=True),
    images("sometimes", lambda x, key: a.sometimes(x, lambda x, key: a.invert(x), 0.5, key=key), expects=""),
    images(
        "mixup",
        lambda x, key: a.mixup(x, LABELS[: len(x)], 1.0, weight=None, classes=3, key=key),
        mixes=True,
        expects="",
    ),
    images("random_flip_with_boxes", lambda x, key: a.random_flip_with_boxes(x, BOXES[: len(x)], key=key)),
    images(
        "random_resized_crop_with_boxes",
        lambda x, key: a.random_resized_crop_with_boxes(x, BOXES[: len(x)], BOX_LABELS[: len(x)], (6, 5), key=key),
        slow=True,
    ),
    images(
        "mosaic",
        lambda x, key: a.mosaic(x, BOXES[: len(x)], BOX_LABELS[: len(x)], weight=None, key=key),
        mixes=True,
    ),
    images("cutmix", lambda x, key: a.cutmix(x, LABELS[: len(x)], 1.0, weight=None, classes=3, key=key), mixes=True),
]

SEQUENCES = [
    Augmentation(
        "spec_augment",
        lambda x, n, key: a.spec_augment(x, lengths=n, key=key, time_width=6, frequency_width=3, fill=9.0),
        lambda rng: rng.normal(size=(ROWS_OF_A_BATCH, 20, 6)).astype(np.float32),
        (jnp.float32, jnp.bfloat16),
        "a non-empty batch of spectrograms",
    ),
    waves("time_shift", lambda x, n, key: a.time_shift(x, 5, lengths=n, key=key), (jnp.int16, jnp.float32)),
    waves("add_noise", lambda x, n, key: a.add_noise(x, (0.0, 20.0), lengths=n, key=key)),
    tokens("replace_tokens", lambda x, n, key: a.replace_tokens(x, 0.5, 5, 30, lengths=n, key=key)),
    tokens("word_dropout", lambda x, n, key: a.word_dropout(x, 0.5, 1, lengths=n, key=key)),
    tokens("mask_tokens", lambda x, n, key: a.mask_tokens(x, 4, 5, 30, lengths=n, rate=0.5, key=key)),
    tokens("mask_spans", lambda x, n, key: a.mask_spans(x, 4, 5, 30, lengths=n, rate=0.5, key=key)),
]


@functools.cache
def batch_of(row: Augmentation, dtype: Any = None) -> tuple[jax.Array, jax.Array]:
    """The row's batch, colours scaled to [0, 1] where floating point, and lengths 13..20."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(row.batch(rng))
    dtype = row.dtypes[0] if dtype is None else dtype
    if x.dtype == jnp.uint8 and dtype != jnp.uint8:
        x = x.astype(jnp.float32) / 255
    if dtype == jnp.int16 and x.dtype == jnp.float32:
        x = x * 1000
    return x.astype(dtype), jnp.asarray(rng.integers(13, 21, len(x)), jnp.int32)
