"""Preference losses and distillation against their formulas in torch, and at the edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jnn import losses
from tests.oracle import assert_matches_torch, configurations

GOOD = np.array([1, 0, 1, 0, 0])
log_odds = lambda x: x - torch.log1p(-torch.exp(x))


def kto(ours, theirs):
    reward = ours - theirs.detach()
    good, bad = 1.5 * (1 - torch.sigmoid(0.3 * (reward - 0.2))), 0.5 * (1 - torch.sigmoid(0.3 * (0.2 - reward)))
    return torch.where(torch.tensor(GOOD) == 1, good, bad)


def dpo(a, b, c, d):
    logit = 0.3 * ((a - c.detach()) - (b - d.detach()))
    return -0.9 * F.logsigmoid(logit) - 0.1 * F.logsigmoid(-logit)


# ours of four arrays of log-probabilities, and the papers' formulas
FORMULAS = [
    (lambda a, b, c, d: losses.dpo_loss(a, b, c, d, beta=0.3, smoothing=0.1), dpo),
    (
        lambda a, b, c, d: losses.ipo_loss(a, b, c, d, beta=0.3),
        lambda a, b, c, d: (a - b - (c - d).detach() - 1 / 0.6) ** 2,
    ),
    (
        lambda a, b, c, d: losses.kto_loss(
            a, c, jnp.asarray(GOOD), 0.2, beta=0.3, desirable_weight=1.5, undesirable_weight=0.5
        ),
        lambda a, b, c, d: kto(a, c),
    ),
    (
        lambda a, b, c, d: losses.orpo_loss(a, b, strength=0.3),
        lambda a, b, c, d: -a - 0.3 * F.logsigmoid(log_odds(a) - log_odds(b)),
    ),
    (
        lambda a, b, c, d: losses.simpo_loss(a, b, beta=2.5, margin=0.7),
        lambda a, b, c, d: -F.logsigmoid(2.5 * (a - b) - 0.7),
    ),
    (lambda a, b, c, d: losses.bradley_terry(a, b, margin=0.3), lambda a, b, c, d: -F.logsigmoid(a - b - 0.3)),
]


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_preference_losses_match_their_formulas(rng):
    """All in one program: their values side by side."""
    arrays = [-rng.exponential(2, 5).astype(np.float32) - 0.01 for _ in range(4)]
    ours, theirs = zip(*FORMULAS, strict=True)
    assert_matches_torch(
        lambda *a: jnp.stack([f(*a) for f in ours]), lambda *a: torch.stack([f(*a) for f in theirs]), arrays
    )


def test_preference_losses_and_gradients_are_finite_at_the_edges():
    direction = jnp.arange(1.0, 6)
    run = jax.jit(jax.grad(lambda *a: sum(f(*a) @ direction for f, _ in FORMULAS), argnums=(0, 1, 2, 3)))
    for size in (0.0, -1e-30, -1e-8, -1e4):
        for rest in (0.0, -1.0, -1e4):
            assert jnp.isfinite(jnp.stack(run(jnp.full(5, size), *jnp.full((3, 5), rest)))).all()


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_the_log_probability_of_an_answer_is_that_of_its_tokens_alone(rng):
    tokens, mask = rng.integers(0, 5, (3, 4)), rng.integers(0, 2, (3, 4))
    mask[0] = 0

    def theirs(logits):
        of = logits.log_softmax(-1).gather(-1, torch.tensor(tokens)[..., None])[..., 0] * torch.tensor(mask)
        return torch.stack([of.sum(-1), of.sum(-1) / torch.tensor(mask.sum(-1)).clamp(min=1)])

    of = lambda logits, **how: losses.sequence_log_prob(logits, jnp.asarray(tokens), jnp.asarray(mask), **how)
    ours = lambda logits: jnp.stack([of(logits), of(logits, average=True)])
    assert_matches_torch(ours, theirs, [rng.normal(size=(3, 4, 5)).astype(np.float32)])


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_distillation_matches_torch(rng):
    student, teacher = (rng.normal(scale=3, size=(2, 3, 4)).astype(np.float32) for _ in range(2))

    def soft(x, y):
        y = (y.detach() / 3).softmax(-1)
        return 9 * F.kl_div((x / 3).log_softmax(-1), y, reduction="none").sum(-1)

    ours = lambda x, y: jnp.stack([losses.distillation_loss(x, y, temperature=3.0), losses.hint_loss(x, y)])
    squares = lambda x, y: F.mse_loss(x, y.detach(), reduction="none").mean(-1)
    assert_matches_torch(ours, lambda x, y: torch.stack([soft(x, y), squares(x, y)]), [student, teacher])
    where = lambda x: F.normalize(x.pow(2).mean(-1).flatten(-2), dim=-1)  # as in the authors' code
    images = [rng.normal(size=(2, 3, 2, c)).astype(np.float32) for c in (4, 5)]
    attention = lambda x, y: (where(x) - where(y).detach()).pow(2).mean(-1)
    assert_matches_torch(losses.attention_transfer_loss, attention, images)
    heads = [rng.normal(size=(2, 5, 3, size)).astype(np.float32) for size in (4, 2)]
    there = np.arange(5) < np.array([[5], [3]])

    def related(x, y):
        of = lambda x: torch.einsum("bthk,bshk->bhts", x, x) / x.shape[-1] ** 0.5
        of_those = lambda x: of(x).masked_fill(~torch.tensor(there)[:, None, None], -torch.inf)
        gap = F.kl_div(of_those(x).log_softmax(-1), of_those(y.detach()).softmax(-1), reduction="none")
        return (gap.nan_to_num().sum(-1).mean(1)) * torch.tensor(there)

    ours = lambda x, y: losses.relation_distillation_loss(x, y, mask=jnp.asarray(there))
    assert_matches_torch(ours, related, heads)


def test_distillation_is_finite_at_the_edges():
    x = np.float32([[0, 0, 0], [1e30, -1e30, 0], [1e-30, 0, -1e30], [2, -np.inf, 1]])  # a teacher may mask classes
    run = jax.jit(jax.value_and_grad(lambda student, teacher: losses.distillation_loss(student, teacher).sum()))
    for teacher in x:
        assert all(jnp.isfinite(part).all() for part in run(x[:3], np.broadcast_to(teacher, (3, 3))))
    run = jax.jit(jax.value_and_grad(lambda s: losses.attention_transfer_loss(s, jnp.ones((1, 2, 3)))))
    for size in (0.0, 1e-30, 1e30):
        assert all(jnp.isfinite(part).all() for part in run(np.full((1, 2, 3), size, np.float32)))


X = -jnp.ones((4, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.dpo_loss(X, X, X, X[:1]), ValueError, "dpo_loss: expected equal shapes"),
        (lambda: losses.dpo_loss(X, X, X, X, beta=0), ValueError, "beta > 0, found 0"),
        (lambda: losses.dpo_loss(X, X, X, X, smoothing=0.5), ValueError, r"smoothing in \[0, 0.5\), found 0.5"),
        (lambda: losses.kto_loss(X, X, X[0], 0.0), ValueError, "kto_loss: expected equal shapes"),
        (lambda: losses.orpo_loss(X.astype(int), X), TypeError, "orpo_loss: expected floating-point input"),
        (lambda: losses.distillation_loss(X, X, temperature=-1.0), ValueError, "temperature > 0"),
        (
            lambda: losses.attention_transfer_loss(X, X),
            ValueError,
            "attention_transfer_loss: expected an array of rank 3",
        ),
        (lambda: losses.attention_transfer_loss(X[None], X[None, :2]), ValueError, "expected images of one size"),
        (
            lambda: losses.relation_distillation_loss(X[None], X[None, :2]),
            ValueError,
            "as many tokens and heads of both",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
