"""GE2E: both forms against loops over utterances in torch; an utterance is not in its own mean; edges and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jnn import losses
from tests.oracle import assert_matches_torch, configurations


def similarity(x, speaker, utterance, other):
    """Of an utterance and a speaker's mean, of which it is no part."""
    rows = [x[other, i] for i in range(x.shape[1]) if (other, i) != (speaker, utterance)]
    mean = torch.stack([F.normalize(row, dim=0) for row in rows]).mean(0)
    return F.cosine_similarity(x[speaker, utterance], mean, dim=0)


def every(x, of):
    """`of` an utterance's similarities, the own speaker's first."""
    speakers, utterances = x.shape[:2]
    rows = []
    for j in range(speakers):
        order = [j, *(k for k in range(speakers) if k != j)]
        rows.append([of(torch.stack([similarity(x, j, i, k) for k in order])) for i in range(utterances)])
    return torch.stack([torch.stack(row) for row in rows])


def softmax(x):
    return every(x, lambda s: torch.logsumexp(3 * s, 0) - 3 * s[0])


def contrast(x):
    return every(x, lambda s: 1 - torch.sigmoid(3 * s[0] - 1) + torch.sigmoid(3 * s[1:] - 1).max())


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_are_the_loops_in_torch(rng):
    x = rng.normal(size=(rng.integers(2, 5), rng.integers(2, 5), rng.integers(2, 6))).astype(np.float32)
    assert_matches_torch(lambda x: losses.ge2e_loss(x, scale=3.0), softmax, [x])
    assert_matches_torch(lambda x: losses.ge2e_contrast_loss(x, scale=3.0, bias=-1.0), contrast, [x])


@pytest.mark.parametrize("loss", [losses.ge2e_loss, losses.ge2e_contrast_loss])
def test_zeros_are_finite_and_what_does_not_fit_is_one_clear_error(loss):
    value, slope = jax.value_and_grad(lambda x: loss(x).sum())(jnp.zeros((2, 3, 4)))
    assert np.isfinite(value)
    assert (slope == 0).all()
    for shape in ((1, 3, 4), (2, 1, 4)):
        with pytest.raises(ValueError, match=rf"{loss.__name__}: expected \(\.\.\., speakers, utterances, d\), two"):
            loss(jnp.zeros(shape))
    with pytest.raises(ValueError, match="scale"):
        loss(jnp.zeros((2, 2, 4)), scale=0.0)
    with pytest.raises(TypeError, match=loss.__name__):
        loss(jnp.zeros((2, 2, 4), int))
