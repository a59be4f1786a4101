"""Adversarial losses against torch's cross-entropy and autograd."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jnn import losses
from tests.losses.exact import assert_exact, leading
from tests.oracle import configurations

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


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_match_torch(rng):
    """All in one program, their values side by side; scores from timid to sure."""
    shape, scale = leading(rng), 10 ** rng.uniform(-1, 1.5)
    ours = lambda real, fake: jnp.stack(
        [getattr(losses, name)(real, fake) for name in CRITICS] + [getattr(losses, name)(fake) for name in GENERATORS]
    )
    theirs = lambda real, fake: torch.stack(
        [f(real, fake) for f in CRITICS.values()] + [f(fake) for f in GENERATORS.values()]
    )
    assert_exact(ours, theirs, *(rng.normal(scale=scale, size=shape) for _ in range(2)))


W = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
discriminator = lambda w: lambda x: jnp.tanh(x.reshape(len(x), -1) @ w).sum(-1)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_gradient_penalties_and_their_gradients_match_torch(rng):
    """Half-way and anywhere between; no gradient goes to what is generated."""
    shape, data = leading(rng), tuple(rng.integers(1, 4, rng.integers(1, 3)).tolist())
    key = jax.random.key(int(rng.integers(99))) if rng.integers(2) else None
    score = lambda w: lambda x: jnp.tanh(x.reshape(*shape, -1) @ w).sum(-1)
    with jax.enable_x64(True):
        share = np.full(shape, 0.5) if key is None else np.asarray(jax.random.uniform(key, shape))
    share = torch.tensor(share).reshape(*shape, *(1 for _ in data))

    def ours(w, real, fake):
        between = losses.wgan_gradient_penalty(score(w), real, fake, key=key)
        return jnp.stack([losses.r1_penalty(score(w), real), losses.r2_penalty(score(w), fake), between])

    def slope(w, x):
        x = x if x.requires_grad else x.requires_grad_()
        total = torch.tanh(x.reshape(*shape, -1) @ w).sum()
        return torch.autograd.grad(total, x, create_graph=True)[0].reshape(*shape, -1)

    def theirs(w, real, fake):
        between = (share * real + (1 - share) * fake).detach()
        slopes = slope(w, real), slope(w, fake.detach()), slope(w, between).norm(dim=-1)
        return torch.stack([slopes[0].square().sum(-1), slopes[1].square().sum(-1), (slopes[2] - 1) ** 2])

    w = rng.normal(size=(int(np.prod(data)), int(rng.integers(1, 6))))
    assert_exact(ours, theirs, w, *(rng.normal(size=shape + data) for _ in range(2)))


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
