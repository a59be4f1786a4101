"""Angular margins and centers against angles in torch, loops over classes, and at the edges."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jnn import losses
from tests.oracle import assert_matches_torch, configurations


def torch_margin(own, scale):
    """Cross-entropy of scaled cosines, of which the label's angle goes through `own`."""

    def loss(x, table, labels):
        cosine = F.normalize(x, dim=-1) @ F.normalize(table, dim=-1).T
        angle = torch.acos(cosine.gather(-1, labels[:, None].long()))
        changed = cosine.scatter(-1, labels[:, None].long(), own(angle))
        return F.cross_entropy(scale(x) * changed, labels.long(), reduction="none")

    return loss


def arc(angle):
    cosine, margin = torch.cos(angle), 1.0
    return torch.where(angle + margin < math.pi, torch.cos(angle + margin), cosine - margin * math.sin(margin))


def sphere(angle):
    turns = (angle * 3 / math.pi).floor().detach()
    return torch.where(turns % 2 == 0, 1, -1) * torch.cos(3 * angle) - 2 * turns


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_margins_match_angles_in_torch(rng):
    arrays = [rng.normal(size=(9, 3)).astype(np.float32), rng.normal(size=(5, 3)).astype(np.float32)]
    arrays.append(rng.integers(0, 5, 9))
    length = lambda x: x.norm(dim=-1, keepdim=True)
    for ours, own, scale in [
        (lambda *a: losses.arcface(*a, margin=1.0, scale=4.0), arc, lambda x: 4),
        (lambda *a: losses.cosface(*a, margin=0.3, scale=4.0), lambda angle: torch.cos(angle) - 0.3, lambda x: 4),
        (lambda *a: losses.sphereface(*a, margin=3), sphere, length),
    ]:
        assert_matches_torch(ours, torch_margin(own, scale), arrays)


@pytest.mark.parametrize("loss", [losses.arcface, losses.cosface])
def test_a_margin_may_be_traced_and_is_then_nan_where_it_does_not_fit(loss):
    run = jax.jit(lambda margin: loss(jnp.eye(2), jnp.eye(2), jnp.array([0, 1]), margin=margin, scale=4.0))
    np.testing.assert_allclose(run(0.3), loss(jnp.eye(2), jnp.eye(2), jnp.array([0, 1]), margin=0.3, scale=4.0))
    assert jnp.isnan(run(-0.1)).all()


def test_margins_are_finite_at_the_edges():
    table, labels = jnp.eye(3), jnp.array([0, 1, 0, 2])
    x = jnp.array([[1.0, 0, 0], [-1, 0, 0], [0, 0, 0], [0, 0, -1]])
    for loss in (losses.arcface, losses.cosface, losses.sphereface):
        run = jax.jit(jax.value_and_grad(lambda x, t, loss=loss: loss(x, t, labels).sum(), (0, 1)))
        for size in (1e-30, 1.0, 1e30):
            if loss is not losses.sphereface or size < 2:  # lengths count there
                assert all(jnp.isfinite(a).all() for a in jax.tree.leaves(run(size * x, table)))


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_centers_move_to_the_means_of_their_classes(rng):
    x, centers = (rng.normal(size=(n, 3)).astype(np.float32) for n in (8, 4))
    labels, mask = rng.integers(0, 4, 8), np.arange(8) < 6
    square = lambda x, c, y: ((x - c[y.long()].detach()) ** 2).sum(-1) / 2
    assert_matches_torch(losses.center_loss, square, [x, centers, labels])
    moved = centers.astype(np.float64)
    for k in range(4):
        of_class = x[mask & (labels == k)]
        moved[k] += 0.3 * (of_class - centers[k]).sum(0) / (1 + len(of_class))
    x = np.where(mask[:, None], x, np.nan)
    ours = losses.update_centers(*map(jnp.asarray, (centers, x, labels)), rate=0.3, mask=jnp.asarray(mask))
    np.testing.assert_allclose(ours, moved, rtol=1e-5, atol=1e-6)


X, LABELS = jnp.ones((4, 3)), jnp.zeros(4, jnp.int32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: losses.arcface(X, X.T, LABELS),
            r"a table \('classes', 3\), a row for each class, found float32\[3,4\]",
        ),
        (lambda: losses.arcface(X, X, LABELS, margin=4.0), r"arcface: expected margin in \[0, pi\), found 4.0"),
        (
            lambda: losses.cosface(X, X, LABELS[:2]),
            r"expected labels \(4,\) for float32\[4,4\], found int32\[2\]",
        ),
        (lambda: losses.cosface(X, X, LABELS, scale=-1.0), "scale > 0"),
        (lambda: losses.sphereface(X, X, LABELS, margin=0), "sphereface: expected a margin of 1 or more"),
        (lambda: losses.center_loss(X, X[:2], LABELS + 2), r"center_loss: expected labels in 0\.\.1"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
