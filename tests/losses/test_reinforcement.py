"""Reinforcement learning: returns, policies and temporal differences against loops over time, actions and atoms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jnn import losses
from tests.oracle import assert_matches_torch, configurations


def lambda_returns(r, d, v, decay):
    """The definition: a mix of n-step returns, not the recursion."""
    steps, out = len(r), []
    for t in range(steps):
        n_step, total, factor = [], 0.0, 1.0
        for k in range(t, steps):
            total, factor = total + factor * r[k], factor * d[k]
            n_step.append(total + factor * v[k + 1])
        weights = [(1 - decay) * decay**k for k in range(len(n_step) - 1)] + [decay ** (len(n_step) - 1)]
        out.append(sum(w * g for w, g in zip(weights, n_step, strict=True)))
    return np.array(out)


def vtrace(r, d, v, log_ratios, decay, most, most_trace):
    """The definition of IMPALA's equation 1: a sum over coming errors."""
    rho, c = np.minimum(np.exp(log_ratios), most), decay * np.minimum(np.exp(log_ratios), most_trace)
    steps, targets = len(r), v[:-1].copy()
    for s in range(steps):
        for t in range(s, steps):
            targets[s] += np.prod(d[s:t] * c[s:t]) * rho[t] * (r[t] + d[t] * v[t + 1] - v[t])
    return targets, rho * (r + d * np.append(targets[1:], v[-1]) - v[:-1])


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_returns_are_their_definitions_over_time(rng):
    r, ratios = rng.normal(size=(2, 3, 6))
    v, d = rng.normal(size=(3, 7)), 0.9 * (rng.random((3, 6)) < 0.8)
    decay, most, most_trace = 0.7, 1.2, 0.8

    @jax.jit
    def ours(r, d, v, ratios):
        args = r, d, v
        of_ratios = losses.vtrace(*args, ratios, decay=decay, most=most, most_trace=most_trace)
        at = lambda decay: losses.lambda_returns(*args, decay=decay)
        return at(decay), at(0.0), at(1.0), losses.generalized_advantages(*args, decay=decay), *of_ratios

    with jax.enable_x64(True):
        found = [np.asarray(x) for x in ours(r, d, v, ratios)]
    for i, row in enumerate(zip(r, d, v, strict=True)):
        of_ratios = vtrace(*row, ratios[i], decay, most, most_trace)
        mixed, one_step, to_the_end = (lambda_returns(*row, x) for x in (decay, 0.0, 1.0))
        wanted = mixed, one_step, to_the_end, mixed - row[2][:-1], *of_ratios
        for ours_, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours_[i], theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_policy_losses_match_their_formulas(rng):
    """All in one program: their values side by side; what is old, and what an action was worth, has no gradient."""
    arrays = [rng.normal(size=(5, 4)).astype(np.float32) for _ in range(3)]

    def ours(x, y, z):
        rows = losses.policy_gradient_loss(x, y), losses.ppo_loss(x, y, z), losses.clipped_value_loss(x, y, z, clip=0.5)
        return jnp.concatenate([jnp.stack([*rows]), losses.categorical_entropy(x)[None, :, None] * jnp.ones((1, 1, 4))])

    def theirs(x, y, z):
        y, z = y.detach(), z.detach()
        ratio = torch.exp(x - y)
        surrogate = -torch.minimum(ratio * z, ratio.clamp(0.8, 1.2) * z)
        value = torch.maximum((x - z) ** 2, (y + (x - y).clamp(-0.5, 0.5) - z) ** 2) / 2
        entropy = torch.distributions.Categorical(logits=x).entropy()[:, None] * torch.ones(1, 4)
        return torch.stack([-x * y, surrogate, value, entropy])

    assert_matches_torch(ours, theirs, arrays)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_group_relative_losses_match_their_formulas(rng):
    """Values side by side; only the policy itself has a gradient."""
    arrays = [rng.normal(size=(5, 4)).astype(np.float32) for _ in range(4)]

    def ours(x, old, reference, rewards):
        gain = losses.group_advantages(rewards)
        loss = losses.grpo_loss(x, old, reference, gain, clip=0.3, beta=0.2)
        return jnp.stack([loss, losses.grpo_loss(x, old, reference, gain, clip=0.3, beta=0.0), gain])

    def theirs(x, old, reference, rewards):
        old, reference, rewards = old.detach(), reference.detach(), rewards.detach()
        gain = (rewards - rewards.mean(-1, keepdim=True)) / (rewards.std(-1, keepdim=True, unbiased=False) + 1e-4)
        ratio = torch.exp(x - old)
        surrogate = -torch.minimum(ratio * gain, ratio.clamp(0.7, 1.3) * gain)
        kl = torch.exp(reference - x) - (reference - x) - 1
        return torch.stack([surrogate + 0.2 * kl, surrogate, gain])

    assert_matches_torch(ours, theirs, arrays)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_the_divergence_of_grpo_is_that_of_distributions_in_expectation(rng):
    p, q = rng.dirichlet(np.ones(4), 2).astype(np.float32)
    loss = losses.grpo_loss(jnp.log(p), jnp.log(p), jnp.log(q), jnp.zeros(4), beta=1.0)
    np.testing.assert_allclose((p * loss).sum(), (p * np.log(p / q)).sum(), rtol=1e-3, atol=1e-5)
    assert (np.asarray(loss) >= 0).all()


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_temporal_differences_match_loops(rng):
    q, after, online = (rng.normal(scale=2, size=(5, 3)).astype(np.float32) for _ in range(3))
    r, d = rng.normal(size=5).astype(np.float32), rng.uniform(size=5).astype(np.float32)
    actions = rng.integers(0, 3, 5)
    huber = lambda x, target: F.huber_loss(x, target.detach(), delta=0.7, reduction="none")

    def ours(q, after, online, r, d):
        options = {"delta": 0.7}
        one = losses.q_learning_loss(q, jnp.asarray(actions), r, d, after, **options)
        double = losses.double_q_learning_loss(q, jnp.asarray(actions), r, d, after, online, **options)
        first = losses.td_loss(q[:, 0], r, d, after[:, 0], **options)
        return jnp.stack([one, double, first, losses.td_loss(q[:, 0], r, d, after[:, 0])])

    def theirs(q, after, online, r, d):
        own = torch.stack([row[a] for row, a in zip(q, actions, strict=True)])
        best = torch.stack([row[o.argmax()] for row, o in zip(after, online, strict=True)])
        target = r + d * after[:, 0]
        rows = huber(own, r + d * after.max(-1).values), huber(own, r + d * best), huber(q[:, 0], target)
        return torch.stack([*rows, (q[:, 0] - target.detach()) ** 2 / 2])

    assert_matches_torch(ours, theirs, [q, after, online, r, d])


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_a_projected_distribution_is_shared_between_neighbours(rng):
    """C51's algorithm 1, atom by atom; and for uneven atoms, that the mean stays."""
    support, p = rng.normal(scale=3, size=(4, 6)), rng.dirichlet(np.ones(6), 4)
    onto = np.linspace(-2, 2, 5)
    wanted = np.zeros((4, 5))
    for i in range(4):
        for z, mass in zip(support[i], p[i], strict=True):
            b = (np.clip(z, -2, 2) + 2) / 1.0
            low, high = int(np.floor(b)), int(np.ceil(b))
            wanted[i, low] += mass * (high - b if high > low else 1)
            wanted[i, high] += mass * (b - low)
    project, uneven = jax.jit(losses.categorical_projection), np.array([-2.0, -1.5, 0.0, 1.0, 2.0])
    with jax.enable_x64(True):
        found, of_uneven = (np.asarray(project(support, p, atoms)) for atoms in (onto, uneven))
    np.testing.assert_allclose(of_uneven @ uneven, (np.clip(support, -2, 2) * p).sum(-1), rtol=1e-9)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_quantile_regression_is_the_sum_over_pairs(rng):
    def theirs(quantiles, targets):
        out = []
        for theta, z in zip(quantiles, targets.detach(), strict=True):
            cost = 0
            for i in range(3):
                for j in range(4):
                    u = z[j] - theta[i]
                    level = (2 * i + 1) / 6 - (u < 0).double()
                    cost = cost + level.abs() * F.huber_loss(theta[i], z[j], delta=0.5) / 0.5 / 4
            out.append(cost)
        return torch.stack(out)

    arrays = [rng.normal(size=(5, n)).astype(np.float32) for n in (3, 4)]
    assert_matches_torch(lambda x, y: losses.quantile_regression_loss(x, y, delta=0.5), theirs, arrays)


def test_values_and_gradients_are_finite_at_the_edges():
    total = lambda x, y, z: (
        losses.ppo_loss(x, y, z)
        + losses.grpo_loss(x, y, y, losses.group_advantages(z))
        + losses.clipped_value_loss(x, y, z)
        + losses.categorical_entropy(x)
    ).sum()
    run = jax.jit(jax.value_and_grad(total, (0, 1, 2)))
    for x, y, z in np.float32([(0, 0, 0), (1e4, -1e4, -1), (-1e4, 1e4, -1), (-1e4, 1e4, 1e4)])[..., None]:
        assert all(jnp.isfinite(part).all() for part in jax.tree.leaves(run(x, y, z)))
    masked = jnp.array([0.0, -jnp.inf, 1e30])
    assert jnp.isfinite(jax.jit(jax.grad(losses.categorical_entropy))(masked)).all()


X, T = jnp.ones((4, 3)), jnp.zeros(4, jnp.int32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: losses.lambda_returns(X, X, X),
            r"expected values \(4, 4\), the last state's too, found float32\[4,3\]",
        ),
        (lambda: losses.generalized_advantages(X, X, jnp.ones((4, 4)), decay=2.0), r"decay in \[0, 1\], found 2.0"),
        (lambda: losses.vtrace(X, X, jnp.ones((4, 4)), X[:1]), "vtrace: expected equal shapes"),
        (lambda: losses.vtrace(X, X, jnp.ones((4, 4)), X, most=0), "most > 0"),
        (lambda: losses.ppo_loss(X, X, X, clip=0), "clip > 0"),
        (lambda: losses.grpo_loss(X, X, X, X, clip=0), "clip > 0"),
        (lambda: losses.grpo_loss(X, X, X, X, beta=-1), "grpo_loss: expected beta >= 0, found -1"),
        (lambda: losses.grpo_loss(X, X, X, X[:, 0]), "grpo_loss: expected equal shapes"),
        (lambda: losses.group_advantages(X, epsilon=0), "group_advantages: expected epsilon > 0"),
        (lambda: losses.policy_gradient_loss(X, X[0]), "policy_gradient_loss: expected equal shapes"),
        (lambda: losses.q_learning_loss(X, T + 3, X[:, 0], X[:, 0], X), r"q_learning_loss: expected actions in 0\.\.2"),
        (
            lambda: losses.q_learning_loss(X, T, X, X[:, 0], X),
            r"q_learning_loss: expected rewards \(4,\), found float32\[4,3\]",
        ),
        (lambda: losses.td_loss(X, X, X, X, delta=0), "td_loss: expected delta > 0"),
        (lambda: losses.categorical_projection(X, X, X), r"onto, \(m,\), found float32\[4,3\]"),
        (lambda: losses.quantile_regression_loss(X, X[:2]), "equal leading axes"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_unknown_action_under_jit_costs_nan_for_that_step():
    found = jax.jit(losses.q_learning_loss)(X, jnp.array([0, 3, -1, 2]), X[:, 0], X[:, 0], X)
    assert jnp.isnan(found).tolist() == [False, True, True, False]
