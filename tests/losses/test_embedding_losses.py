"""Contrastive, triplet and self-supervised losses against loops over rows in torch, with padding, and at the edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jnn import losses
from tests.oracle import assert_matches_torch, configurations

LABELS = np.int32([0, 1, 0, 2, 1, 0, 3])  # 2 and 3 are alone
LN = torch.log


def cosine(x, y):
    return F.cosine_similarity(x, y, dim=0)


def info_nce(x, y):
    total = lambda i: LN(sum(torch.exp(cosine(x[i], key) / 0.2) for key in y))
    return torch.stack([total(i) - cosine(x[i], y[i]) / 0.2 for i in range(len(x))])


def nt_xent(x, y):
    views, n = torch.cat([x, y]), len(x)
    of = lambda i, j: cosine(views[i], views[j]) / 0.5
    one = lambda i: -of(i, (i + n) % (2 * n)) + LN(sum(torch.exp(of(i, j)) for j in range(2 * n) if j != i))
    return torch.stack([(one(i) + one(i + n)) / 2 for i in range(n)])


def clip(x, y):
    logits = 5 * F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
    place = torch.arange(len(x))
    return (F.cross_entropy(logits, place, reduction="none") + F.cross_entropy(logits.T, place, reduction="none")) / 2


def siglip(x, y):
    sign = lambda i, j: 1 if i == j else -1
    n = range(len(x))
    return torch.stack([sum(-F.logsigmoid(sign(i, j) * (5 * cosine(x[i], y[j]) - 2)) for j in n) for i in n])


def supervised(x, y):
    out, n = [], range(len(x))
    for i in n:
        total = sum(torch.exp(cosine(x[i], x[j]) / 0.3) for j in n if j != i)
        costs = [LN(total) - cosine(x[i], x[j]) / 0.3 for j in n if j != i and LABELS[j] == LABELS[i]]
        out.append(torch.stack(costs).mean() if costs else 0 * x.sum())
    return torch.stack(out)


def n_pairs_loss(x, y):
    return F.cross_entropy(x @ y.T, torch.arange(len(x)), reduction="none")


def batch_hard(x, y):
    out, n = [], range(len(x))
    for i in n:
        same = [torch.dist(x[i], x[j]) for j in n if j != i and LABELS[j] == LABELS[i]]
        other = [torch.dist(x[i], x[j]) for j in n if LABELS[j] != LABELS[i]]
        out.append(F.relu(max(same) - min(other) + 1.5) if same else 0 * x.sum())
    return torch.stack(out)


def semi_hard(x, y):
    x, out = F.normalize(x, dim=1), []
    square = lambda i, j: ((x[i] - x[j]) ** 2).sum()
    for i in range(len(x)):
        other = [square(i, j) for j in range(len(x)) if LABELS[j] != LABELS[i]]
        costs = []
        for j in range(len(x)):
            if j != i and LABELS[j] == LABELS[i]:
                farther = [d for d in other if d > square(i, j)]
                costs.append(F.relu(square(i, j) - (min(farther) if farther else max(other)) + 0.4))
        out.append(torch.stack(costs).mean() if costs else 0 * x.sum())
    return torch.stack(out)


def circle(x, y):
    out, n, m = [], range(len(x)), 0.3
    for i in n:
        sums = [0, 0]
        for j in (j for j in n if j != i):
            s, same = cosine(x[i], x[j]), int(LABELS[j] == LABELS[i])
            lack = 1 + m - s if same else s + m
            sums[same] += torch.exp(4 * lack.detach().clamp(min=0) * (1 - m - s if same else s - m))
        out.append(LN(1 + sums[0] * sums[1]) + 0 * x.sum())
    return torch.stack(out)


def barlow_twins(x, y):
    norm = lambda z: F.batch_norm(z, None, None, training=True, eps=1e-5)
    c = norm(x).T @ norm(y) / len(x)
    d = range(len(c))
    return sum((1 - c[i, i]) ** 2 if i == j else 0.1 * c[i, j] ** 2 for i in d for j in d) * torch.ones(len(x))


def vicreg(x, y):
    total = 0
    for z in (x, y):
        c = torch.cov(z.T)
        total = total + 2 * F.relu(1 - torch.sqrt(torch.diag(c) + 1e-4)).mean() / 2
        total = total + 3 * ((c**2).sum() - (torch.diag(c) ** 2).sum()) / len(c)
    return 5 * F.mse_loss(x, y, reduction="none").mean(1) + total


# ours, of two views and a mask; a loop in torch; whether rows are compared by their direction alone
IN_BATCH = {
    "info_nce": (lambda x, y, c, m: losses.info_nce(x, y, temperature=0.2, mask=m), info_nce, True),
    "nt_xent": (lambda x, y, c, m: losses.nt_xent(x, y, mask=m), nt_xent, True),
    "clip_loss": (lambda x, y, c, m: losses.clip_loss(x, y, 5.0, mask=m), clip, True),
    "siglip_loss": (lambda x, y, c, m: losses.siglip_loss(x, y, 5.0, -2.0, mask=m), siglip, True),
    "supervised_contrastive_loss": (
        lambda x, y, c, m: losses.supervised_contrastive_loss(x, c, temperature=0.3, mask=m),
        supervised,
        True,
    ),
    "n_pairs_loss": (lambda x, y, c, m: losses.n_pairs_loss(x, y, mask=m), n_pairs_loss, False),
    "batch_hard_triplet_loss": (
        lambda x, y, c, m: losses.batch_hard_triplet_loss(x, c, margin=1.5, mask=m),
        batch_hard,
        False,
    ),
    "semi_hard_triplet_loss": (
        lambda x, y, c, m: losses.semi_hard_triplet_loss(x, c, margin=0.4, mask=m),
        semi_hard,
        True,
    ),
    "circle_loss": (lambda x, y, c, m: losses.circle_loss(x, c, margin=0.3, scale=4.0, mask=m), circle, True),
    "barlow_twins": (lambda x, y, c, m: losses.barlow_twins(x, y, redundancy=0.1, mask=m), barlow_twins, False),
    "vicreg": (
        lambda x, y, c, m: losses.vicreg(x, y, invariance=5.0, variance=2.0, covariance=3.0, mask=m),
        vicreg,
        False,
    ),
}
in_batch = pytest.mark.parametrize("name", IN_BATCH)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
@in_batch
def test_in_batch_losses_match_loops_over_rows(name, rng):
    ours, theirs, _ = IN_BATCH[name]
    arrays = [rng.normal(size=(7, 4)).astype(np.float32) for _ in range(2)]
    assert_matches_torch(lambda x, y: ours(x, y, LABELS, None), theirs, arrays, 2e-5)


def value_and_gradients(name):
    ours, direction = IN_BATCH[name][0], np.arange(1.0, 10.0, dtype=np.float32)

    def total(xy, labels, mask):
        values = ours(*xy, labels, mask)
        return values @ direction[: len(values)], values

    return jax.jit(jax.value_and_grad(total, has_aux=True))


@in_batch
def test_a_masked_row_costs_nothing_and_is_nobodys_negative(name):
    run, rng = value_and_gradients(name), np.random.default_rng(0)
    xy = rng.normal(size=(2, 7, 4)).astype(np.float32)
    filled = np.concatenate([xy, np.full((2, 2, 4), np.nan, np.float32)], 1)
    labels, mask = np.concatenate([LABELS, LABELS[:2]]), np.arange(9) < 7
    (_, values), gradient = run(filled, labels, mask)
    (_, alone), of_alone = run(xy, LABELS, None)
    np.testing.assert_allclose(values, np.r_[alone, 0, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient[:, :7], of_alone, rtol=1e-4, atol=1e-4)
    assert (np.asarray(gradient)[:, 7:] == 0).all()
    (_, values), gradient = run(filled, labels, mask & False)
    assert (np.asarray(values) == 0).all()
    assert (np.asarray(gradient) == 0).all()


@in_batch
def test_losses_and_gradients_are_finite_at_the_edges(name):
    run, direction = value_and_gradients(name), IN_BATCH[name][2]
    rng = np.random.default_rng(0)
    for size in (0.0, 1.0, 1e4, *([1e30] if direction else [])):
        for rows in (np.ones((2, 7, 4)), rng.normal(size=(2, 7, 4)), rng.integers(0, 2, (2, 7, 4))):
            (_, values), gradient = run(np.float32(size) * rows.astype(np.float32), LABELS, None)
            assert np.isfinite(values).all()
            assert np.isfinite(gradient).all()


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_targets_of_self_distillation_match_torch_and_have_no_gradient(rng):
    arrays = [rng.normal(size=(2, 3, 4)).astype(np.float32) for _ in range(2)]
    center = rng.normal(size=4).astype(np.float32)
    negative = lambda x, y: -F.cosine_similarity(x, y.detach(), dim=-1)
    assert_matches_torch(losses.negative_cosine, negative, arrays)

    def dino(student, teacher):
        targets = ((teacher - torch.tensor(center)) / 0.3).softmax(-1).detach()
        return -(targets * (student / 0.5).log_softmax(-1)).sum(-1)

    options = {"student_temperature": 0.5, "teacher_temperature": 0.3}
    assert_matches_torch(lambda x, y: losses.dino_loss(x, y, center, **options), dino, arrays)
    mask = np.array([[1, 0, 1], [1, 1, 0]])
    moved = losses.update_center(jnp.asarray(center), jnp.asarray(arrays[0]), mask=jnp.asarray(mask), momentum=0.75)
    np.testing.assert_allclose(moved, 0.75 * center + 0.25 * arrays[0][mask == 1].mean(0), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("rng", configurations(fast=range(6)), ids=range(20))
def test_circle_loss_is_kerass(rng):
    keras = pytest.importorskip("keras.losses")
    x, labels = rng.normal(size=(12, 4)).astype(np.float32), rng.integers(0, 3, 12)
    theirs = keras.Circle(gamma=20.0, margin=0.3, reduction=None)(labels, x / np.linalg.norm(x, axis=1, keepdims=True))
    np.testing.assert_allclose(losses.circle_loss(x, labels, margin=0.3, scale=20.0), theirs, rtol=1e-4, atol=1e-5)


def test_a_queue_of_negatives_counts_as_further_keys():
    arrays = [np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32) for n in (2, 6)]
    ours = lambda q, k: losses.info_nce(q, k[:2], negatives=k[2:], temperature=0.2)
    assert_matches_torch(ours, info_nce, arrays)


ROWS, LABEL = jnp.ones((4, 3)), jnp.zeros(4, jnp.int32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.info_nce(ROWS, ROWS[:2]), "info_nce: expected equal shapes"),
        (lambda: losses.info_nce(ROWS, ROWS, temperature=0), "temperature > 0, found 0"),
        (lambda: losses.info_nce(ROWS, ROWS, negatives=ROWS.T), r"negatives \('m', 3\), found float32\[3,4\]"),
        (lambda: losses.nt_xent(ROWS, ROWS, mask=LABEL[:2]), r"a mask \(4,\), found int32\[2\]"),
        (lambda: losses.clip_loss(ROWS[0], ROWS[0], 1.0), "rank 2 or more"),
        (lambda: losses.supervised_contrastive_loss(ROWS, LABEL[:2]), r"labels \(4,\), one a row, found int32\[2\]"),
        (lambda: losses.semi_hard_triplet_loss(ROWS, LABEL, margin=0), "margin > 0"),
        (lambda: losses.circle_loss(ROWS, LABEL, margin=2.0), r"circle_loss: expected margin in \[0, 1\], found 2.0"),
        (lambda: losses.circle_loss(ROWS, LABEL, scale=0.0), "circle_loss: expected scale > 0"),
        (lambda: losses.dino_loss(ROWS, ROWS, jnp.ones(4)), r"expected a center \(3,\), found float32\[4\]"),
        (lambda: losses.update_center(jnp.ones(3), ROWS, momentum=2.0), r"momentum in \[0, 1\], found 2.0"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
