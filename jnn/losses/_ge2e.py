"""GE2E: an utterance is nearer to the mean of its speaker's others than to any other speaker's mean.

    ge2e_loss(x)              the cross-entropy of the speaker, by cosines to all means
    ge2e_contrast_loss(x)     the own speaker and the likeliest other, each for itself

Laws: an utterance is no part of the mean that it is compared with as its own speaker's; neither the order of speakers
nor that of a speaker's utterances matters; finite, with gradients, for embeddings of any length, 0 among them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import positive
from jnn.vectors import unit


def ge2e_loss(embeddings: jax.Array, *, scale: jax.Array | float = 10.0) -> jax.Array:
    """GE2E, generalized end-to-end loss: cross-entropy of an utterance's speaker, by cosines to the speakers' means.

    See "Generalized End-to-End Loss for Speaker Verification", Wan, Wang, Papir and Lopez Moreno, 2018.

    Args:
      embeddings: (..., speakers, utterances, d), floating point; two speakers and two utterances of each at least.
      scale: of cosines, above 0; learned, first 10. (The paper's bias changes nothing here.)

    Returns:
      (..., speakers, utterances): one number per utterance.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: too few speakers or utterances, or scale <= 0.

    >>> x = jnp.array([[[1.0, 0.0]] * 2, [[0.0, 1.0]] * 2])
    >>> round(float(ge2e_loss(x, scale=1.0)[0, 0]), 3)
    0.313
    """
    own, others = _cosines("ge2e_loss", embeddings)
    scale = positive("ge2e_loss", "scale", scale, own)
    every = jnp.concatenate([own[..., None], others], axis=-1)
    return jax.nn.logsumexp(scale * every, axis=-1) - scale * own


def ge2e_contrast_loss(
    embeddings: jax.Array, *, scale: jax.Array | float = 10.0, bias: jax.Array | float = -5.0
) -> jax.Array:
    """GE2E contrast loss: how far the own speaker's probability is from 1, and the likeliest other's from 0.

    See `ge2e_loss`.

    Args:
      embeddings, scale: as for `ge2e_loss`.
      bias: added to scaled cosines; learned, first -5.

    Returns:
      (..., speakers, utterances): one number per utterance, in 0..2.

    Raises:
      TypeError, ValueError: as `ge2e_loss` does.

    >>> x = jnp.array([[[1.0, 0.0]] * 2, [[0.0, 1.0]] * 2])
    >>> round(float(ge2e_contrast_loss(x, scale=1.0, bias=0.0)[0, 0]), 3)
    0.769
    """
    own, others = _cosines("ge2e_contrast_loss", embeddings)
    scale = positive("ge2e_contrast_loss", "scale", scale, own)
    return jax.nn.sigmoid(-(scale * own + bias)) + jax.nn.sigmoid(scale * jnp.max(others, axis=-1) + bias)


def _cosines(name: str, embeddings: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of each utterance the cosine to the mean of its speaker's others, and those to the other speakers' means."""
    checks.floats(name, embeddings, ndim=3)
    speakers, utterances = embeddings.shape[-3:-1]
    if speakers < 2 or utterances < 2:
        found = checks.describe(embeddings)
        raise ValueError(f"{name}: expected (..., speakers, utterances, d), two of both at least, found {found}.")
    x = unit(embeddings)
    total = jnp.sum(x, axis=-2)
    own = jnp.sum(x * unit(total[..., None, :] - x), axis=-1)
    cosines = jnp.einsum("...jid,...kd->...jik", x, unit(total))
    rest = jnp.arange(speakers - 1)[None] + (jnp.arange(speakers - 1)[None] >= jnp.arange(speakers)[:, None])
    return own, jnp.take_along_axis(cosines, rest.reshape(*(1,) * (x.ndim - 3), speakers, 1, speakers - 1), axis=-1)
