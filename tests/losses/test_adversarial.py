"""Adversarial losses against torch's cross-entropy and autograd."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jnn import losses
from tests.oracle import assert_matches_torch

ones, zeros = torch.ones_like, torch.zeros_like
told = lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction="none")
square = lambda x, y: F.mse_loss(x, y, reduction="none") / 2
CRITICS = {
    "gan_discriminator_loss": lambda real, fake: told(real, ones(real)) + told(fake, zeros(fake)),
    "least_squares_discriminator_loss": lambda real, fake: square(real, ones(real)) + square(fake, zeros(fake)),
    "hinge_discriminator_loss": lambda real, fake: (1 - real).clamp(min=0) + (1 + fake).clamp(min=0),
    "wasserstein_discriminator_loss": lambda real, fake: fake - real,
}
GENERATORS = {
    "gan_generator_loss": lambda fake: told(fake, ones(fake)),
    "minimax_generator_loss": lambda fake: -told(fake, zeros(fake)),
    "least_squares_generator_loss": lambda fake: square(fake, ones(fake)),
    "wasserstein_generator_loss": lambda fake: -fake,
}


def test_match_torch():
    """All in one program: their values side by side."""
    arrays = [np.random.default_rng(i).normal(scale=3, size=5).astype(np.float32) for i in range(2)]
    ours = lambda real, fake: jnp.stack(
        [getattr(losses, name)(real, fake) for name in CRITICS] + [getattr(losses, name)(fake) for name in GENERATORS]
    )
    theirs = lambda real, fake: torch.stack(
        [f(real, fake) for f in CRITICS.values()] + [f(fake) for f in GENERATORS.values()]
    )
    assert_matches_torch(ours, theirs, arrays)


W = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
discriminator = lambda w: lambda x: jnp.tanh(x.reshape(len(x), -1) @ w).sum(-1)


def torch_slope(w, x):
    x = x.detach().requires_grad_()
    score = torch.tanh(x.flatten(1) @ w).sum()
    return torch.autograd.grad(score, x, create_graph=True)[0].flatten(1)


def test_gradient_penalties_and_their_gradients_match_torch():
    real, fake = (np.random.default_rng(i).normal(size=(5, 2, 3)).astype(np.float32) for i in (1, 2))
    ours = lambda w: jnp.stack(
        [
            losses.r1_penalty(discriminator(w), real),
            losses.r2_penalty(discriminator(w), fake),
            losses.wgan_gradient_penalty(discriminator(w), real, fake, key=None),
        ]
    )

    def theirs(w):
        slopes = [torch_slope(w, torch.tensor(x)) for x in (real, fake, (real + fake) / 2)]
        norm = slopes[2].norm(dim=1)
        return torch.stack([(slopes[0] ** 2).sum(1), (slopes[1] ** 2).sum(1), (norm - 1) ** 2])

    assert_matches_torch(ours, theirs, [W])


def test_the_place_between_real_and_fake_is_each_examples_own_and_a_flat_discriminator_has_a_gradient():
    real, fake, score = jnp.ones((4, 1)), jnp.zeros((4, 1)), lambda x: x[:, 0] ** 2 / 2  # its slope is the place
    root = lambda key: 1 - jnp.sqrt(losses.wgan_gradient_penalty(score, real, fake, key=key))
    places = root(jax.random.key(0))
    assert len(set(places.tolist())) == 4
    assert ((places >= 0) & (places <= 1)).all()
    flat = lambda w: losses.wgan_gradient_penalty(lambda x: w * x[:, 0], real, fake, key=None).sum()
    assert jax.value_and_grad(flat)(0.0) == (4.0, 0.0)


X = jnp.ones((4, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.gan_discriminator_loss(X, X[:2]), ValueError, "gan_discriminator_loss: expected equal shapes"),
        (
            lambda: losses.gan_generator_loss(jnp.ones(3, int)),
            TypeError,
            "gan_generator_loss: expected floating-point input",
        ),
        (lambda: losses.r1_penalty(lambda x: x[:, :1], X), ValueError, r"one score per example, found float32\[4,1\]"),
        (
            lambda: losses.wgan_gradient_penalty(discriminator(W), X, X[:1], key=None),
            ValueError,
            "expected equal shapes",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
