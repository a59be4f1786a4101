"""Losses of regions, boxes, images, likelihoods, margins, lists and trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jnn import losses
from tests.table.rows import Loss, Rng, at, classes, pair, probabilities

NODES, CODES = losses.huffman_paths([5, 1, 2, 1, 3])
TABLE = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)

Draw = Callable[[Rng], tuple[np.ndarray, np.ndarray]]


def drawn(predictions: Callable[[Rng], Any], targets: Callable[[Rng], Any]) -> Draw:
    """Predictions and targets of one example; floats are float32, integers int32."""

    def example(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        both = np.asarray(predictions(rng)), np.asarray(targets(rng))
        x, y = (a.astype(np.float32 if a.dtype.kind == "f" else np.int32) for a in both)
        return x, y

    return example


def normal(*shape: int) -> Callable[[Rng], Any]:
    """Normal numbers."""
    return lambda rng: rng.normal(size=shape)


def whole(below: int, *shape: int) -> Callable[[Rng], Any]:
    """Integers in 0..below-1."""
    return lambda rng: rng.integers(0, below, shape)


def positive(*shape: int) -> Draw:
    """Two arrays of positive numbers."""
    one = lambda rng: rng.uniform(0.2, 3, shape)
    return drawn(one, one)


def boxes(rng: Rng) -> Any:
    """The corners of a box that meets most others."""
    return np.concatenate([rng.uniform(0, 1, 2), rng.uniform(1, 3, 2)])


def split(loss: Callable[..., Any]) -> Callable[..., Any]:
    """A loss of several predictions, here one array of them along its last axis."""
    return lambda p, y: loss(*parts(p), y)


def parts(p: Any) -> list[Any]:
    """The parts along the last axis."""
    return [at(p, i) for i in range(np.shape(p)[-1])]


def summed(loss: Callable[[Any], Any]) -> Callable[..., Any]:
    """A loss of one array, of both."""
    return lambda x, y: loss(x) + loss(y)


def mask_of_first(shape: tuple[Any, ...]) -> Any:
    """A mask without the first of the last axis."""
    return jnp.broadcast_to(np.arange(shape[-1]) > 0, shape)


yes_no = drawn(normal(3), whole(2, 3))
two_normals = drawn(normal(3, 2), normal(3))
ranked = drawn(normal(5), whole(4, 5))
images = drawn(lambda rng: rng.uniform(size=(6, 6, 2)), lambda rng: rng.uniform(size=(6, 6, 2)))
LAYERS = list(np.float32([[1.0, 1.0], [0.5, 2.0]]))
SMALL = {"window": 3, "scales": (0.4, 0.6)}

CRF = {"transition": TABLE[:3], "start": TABLE[3], "end": TABLE[0]}

LOSSES = [
    Loss("crf_loss", lambda scores, tags: losses.crf_loss(CRF, scores, tags), drawn(normal(4, 3), whole(3, 4))),
    Loss("focal_loss", losses.focal_loss, classes(4)),
    Loss("binary_focal_loss", lambda x, y: losses.binary_focal_loss(x, y, alpha=0.3), probabilities(3)),
    Loss("generalized_cross_entropy", losses.generalized_cross_entropy, classes(4)),
    Loss("poly_loss", losses.poly_loss, classes(4)),
    # margins
    Loss("hinge_loss", losses.hinge_loss, yes_no),
    Loss("squared_hinge_loss", losses.squared_hinge_loss, yes_no),
    Loss("modified_huber_loss", losses.modified_huber_loss, yes_no),
    Loss("perceptron_loss", losses.perceptron_loss, yes_no),
    Loss("sigmoid_loss", losses.sigmoid_loss, yes_no),
    Loss("multiclass_hinge_loss", losses.multiclass_hinge_loss, classes(4)),
    Loss("hinge_embedding_loss", losses.hinge_embedding_loss, drawn(lambda rng: rng.uniform(size=()), whole(2))),
    # regression
    Loss("log_cosh", losses.log_cosh, pair(3)),
    Loss("smooth_l1_loss", losses.smooth_l1_loss, pair(3)),
    Loss("charbonnier_loss", losses.charbonnier_loss, pair(3)),
    Loss("quantile_loss", lambda x, y: losses.quantile_loss(x, y, quantile=0.8), pair(3)),
    Loss("epsilon_insensitive_loss", losses.epsilon_insensitive_loss, pair(3)),
    Loss("absolute_percentage_error", losses.absolute_percentage_error, positive(3)),
    Loss("squared_log_error", losses.squared_log_error, positive(3)),
    Loss("cosine_distance", losses.cosine_distance, pair(3)),
    Loss("poisson_deviance", losses.poisson_deviance, positive(3)),
    Loss("gamma_deviance", losses.gamma_deviance, positive(3)),
    Loss("tweedie_deviance", lambda x, y: losses.tweedie_deviance(x, y, power=1.5), positive(3)),
    # likelihoods
    Loss("gaussian_nll", split(losses.gaussian_nll), two_normals),
    Loss("laplace_nll", split(losses.laplace_nll), two_normals),
    Loss("student_t_nll", split(lambda *x: losses.student_t_nll(*x, degrees=3.0)), two_normals),
    Loss("poisson_nll", losses.poisson_nll, drawn(normal(3), whole(5, 3))),
    Loss("negative_binomial_nll", split(losses.negative_binomial_nll), drawn(normal(3, 2), whole(5, 3))),
    Loss(
        "gaussian_mixture_nll",
        lambda p, y: losses.gaussian_mixture_nll(at(p, 0), at(p, slice(1, 3)), at(p, slice(3, 5)), y),
        drawn(normal(4, 5), normal(2)),
    ),
    Loss("gaussian_crps", split(losses.gaussian_crps), two_normals),
    Loss("ensemble_crps", lambda x, y: losses.ensemble_crps(x, y, fair=True), drawn(normal(4, 2), normal(2))),
    Loss(
        "cox_partial_likelihood",
        lambda x, y: losses.cox_partial_likelihood(x, *parts(y), mask=mask_of_first(np.shape(x))),
        drawn(normal(6), lambda rng: rng.integers(0, 3, (6, 2)) > 0),
    ),
    Loss(
        "ordinal_cross_entropy",
        lambda x, y: losses.ordinal_cross_entropy(x, np.array([-1.0, 0.0, 2.0], np.float32), y),
        drawn(normal(), whole(4)),
    ),
    Loss("coral_loss", losses.coral_loss, drawn(normal(3), whole(4))),
    Loss("categorical_kl", losses.categorical_kl, pair(4)),
    Loss("gaussian_kl", lambda p, q: losses.gaussian_kl(*parts(p), *parts(q)), pair(3, 2)),
    Loss("standard_gaussian_kl", losses.standard_gaussian_kl, pair(3)),
    Loss("negative_elbo", lambda x, y: losses.negative_elbo(x, y, beta=0.5), pair()),
    Loss("importance_weighted_elbo_loss", summed(losses.importance_weighted_elbo_loss), pair(3)),
    # regions, boxes, images
    Loss("dice_loss", losses.dice_loss, probabilities(3, 4, 2)),
    Loss("generalized_dice_loss", losses.generalized_dice_loss, probabilities(3, 4, 2)),
    Loss("jaccard_loss", losses.jaccard_loss, probabilities(3, 4, 2)),
    Loss(
        "tversky_loss",
        lambda x, y: losses.tversky_loss(x, y, mask=mask_of_first(np.shape(x)[:-1])),
        probabilities(3, 4, 2),
    ),
    Loss("focal_tversky_loss", losses.focal_tversky_loss, probabilities(3, 4, 2)),
    Loss("lovasz_hinge", losses.lovasz_hinge, drawn(normal(3, 4), whole(2, 3, 4))),
    Loss("lovasz_softmax", losses.lovasz_softmax, drawn(normal(3, 4, 3), whole(3, 3, 4))),
    Loss("iou_loss", losses.iou_loss, drawn(boxes, boxes)),
    Loss("giou_loss", losses.giou_loss, drawn(boxes, boxes)),
    Loss("diou_loss", losses.diou_loss, drawn(boxes, boxes)),
    Loss("ciou_loss", losses.ciou_loss, drawn(boxes, boxes)),
    Loss("ssim_loss", lambda x, y: losses.ssim_loss(x, y, window=3), images),
    Loss("ms_ssim_loss", lambda x, y: losses.ms_ssim_loss(x, y, **SMALL), images),
    Loss("total_variation", summed(losses.total_variation), images),
    Loss("style_loss", lambda x, y: losses.style_loss([x, x], [losses.gram_matrix(y)] * 2), images),
    Loss("lpips", lambda x, y: losses.lpips([x, x], [y, y], LAYERS), images),
    # lists and trees
    Loss("ranknet", losses.ranknet, ranked),
    Loss("lambdarank", losses.lambdarank, ranked),
    Loss("listnet", losses.listnet, ranked),
    Loss("listmle", losses.listmle, ranked),
    Loss("approximate_ndcg", lambda x, y: losses.approximate_ndcg(x, y, mask=mask_of_first(np.shape(x))), ranked),
    Loss("margin_ranking_loss", lambda x, y: losses.margin_ranking_loss(x, y, margin=0.5), pair()),
    Loss(
        "hierarchical_softmax",
        lambda x, y: losses.hierarchical_softmax(x, TABLE, y, nodes=NODES, codes=CODES),
        drawn(normal(3), whole(5)),
    ),
    Loss(
        "masked_binary_cross_entropy_with_logits",
        lambda x, y: losses.binary_cross_entropy_with_logits(x, y, mask=mask_of_first(np.shape(x))),
        probabilities(3),
    ),
]
