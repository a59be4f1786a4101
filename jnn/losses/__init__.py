"""Losses: one number per example (or token). Nothing here reduces over examples; the train step does, once.

    classification      cross-entropies, focal and robust ones, margins, ordered classes, trees of classes
    regression          errors, robust errors, deviances, quantiles, cosine distance
    distributions       negative log-likelihoods, CRPS, KL divergences, evidence lower bounds, Cox's partial likelihood
    images              overlaps of regions, boxes, structural similarity, total variation, LPIPS, style
    lists               learning to rank, by pairs and by whole lists
    sources             the best of all orders that separated sources may have
    params              penalties

What lives here compares predictions with targets, or penalises params. What does not: metrics
(`jnn.metrics`), reduction, weighting by example.
"""

from jnn.losses._adversarial import (
    gan_discriminator_loss,
    gan_generator_loss,
    hinge_discriminator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    minimax_generator_loss,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)
from jnn.losses._angular import arcface, cosface, sphereface
from jnn.losses._binary_cross_entropy import binary_cross_entropy, binary_cross_entropy_with_logits
from jnn.losses._boxes import ciou_loss, diou_loss, giou_loss, iou_loss
from jnn.losses._capsules import capsule_margin_loss
from jnn.losses._chunked_cross_entropy import chunked_cross_entropy
from jnn.losses._circle import circle_loss
from jnn.losses._class_centers import center_loss, update_centers
from jnn.losses._class_margin import multi_label_margin_loss, multi_margin_loss, multiclass_hinge_loss
from jnn.losses._conditional_random_field import crf_decode, crf_loss, crf_spec
from jnn.losses._contrastive import info_nce, n_pairs_loss, nt_xent, supervised_contrastive_loss
from jnn.losses._counts import negative_binomial_nll, poisson_nll
from jnn.losses._cross_entropy import cross_entropy, soft_cross_entropy
from jnn.losses._crps import ensemble_crps, gaussian_crps
from jnn.losses._ctc import ctc_loss
from jnn.losses._ctc_alignment import Alignment, ctc_alignment
from jnn.losses._deviance import gamma_deviance, poisson_deviance, tweedie_deviance
from jnn.losses._diffusion import (
    Predict,
    add_noise,
    cosine_noise_schedule,
    denoising_loss,
    denoising_target,
    linear_noise_schedule,
)
from jnn.losses._dino import dino_loss, update_center
from jnn.losses._distillation import (
    attention_transfer_loss,
    distillation_loss,
    hint_loss,
    relation_distillation_loss,
)
from jnn.losses._distributional import categorical_projection, quantile_regression_loss
from jnn.losses._divergence import (
    categorical_kl,
    gaussian_kl,
    importance_weighted_elbo_loss,
    negative_elbo,
    standard_gaussian_kl,
)
from jnn.losses._flow_matching import flow_matching_loss, interpolate_flow
from jnn.losses._focal import binary_focal_loss, focal_loss, generalized_cross_entropy, poly_loss
from jnn.losses._ge2e import ge2e_contrast_loss, ge2e_loss
from jnn.losses._gradient_penalty import r1_penalty, r2_penalty, wgan_gradient_penalty
from jnn.losses._group_policy import group_advantages, grpo_loss
from jnn.losses._hierarchy import hierarchical_softmax, huffman_paths
from jnn.losses._image_text import clip_loss, siglip_loss
from jnn.losses._images import lpips, ms_ssim_loss, ssim_loss, total_variation
from jnn.losses._likelihood import gaussian_mixture_nll, gaussian_nll, laplace_nll, student_t_nll
from jnn.losses._listwise_ranking import approximate_ndcg, listmle, listnet
from jnn.losses._lovasz import lovasz_hinge, lovasz_softmax
from jnn.losses._margin import hinge_loss, modified_huber_loss, perceptron_loss, sigmoid_loss, squared_hinge_loss
from jnn.losses._noise_weights import min_snr_weight, p2_weight, snr_weight
from jnn.losses._ordinal import coral_loss, ordinal_cross_entropy
from jnn.losses._pairs import contrastive_loss, cosine_embedding_loss, hinge_embedding_loss
from jnn.losses._pairwise_ranking import lambdarank, margin_ranking_loss, ranknet
from jnn.losses._penalty import l1, l2
from jnn.losses._permutation import best_permutation, permutation_invariant_loss
from jnn.losses._policy import categorical_entropy, clipped_value_loss, policy_gradient_loss, ppo_loss
from jnn.losses._preference import dpo_loss, ipo_loss, kto_loss, sequence_log_prob
from jnn.losses._reference_free import bradley_terry, orpo_loss, simpo_loss
from jnn.losses._regression import absolute_error, huber_loss, squared_error
from jnn.losses._relative import absolute_percentage_error, squared_log_error
from jnn.losses._returns import generalized_advantages, lambda_returns, vtrace
from jnn.losses._robust import (
    charbonnier_loss,
    cosine_distance,
    epsilon_insensitive_loss,
    log_cosh,
    quantile_loss,
    smooth_l1_loss,
)
from jnn.losses._segmentation import dice_loss, focal_tversky_loss, generalized_dice_loss, jaccard_loss, tversky_loss
from jnn.losses._self_supervised import barlow_twins, negative_cosine, vicreg
from jnn.losses._style import gram_matrix, style_loss
from jnn.losses._survival import cox_partial_likelihood
from jnn.losses._temporal_difference import double_q_learning_loss, q_learning_loss, td_loss
from jnn.losses._transducer import transducer_loss
from jnn.losses._triplet import batch_hard_triplet_loss, semi_hard_triplet_loss, triplet_margin_loss
from jnn.losses._weight_consolidation import diagonal_fisher, ewc_penalty

__all__ = [
    "Alignment",
    "Predict",
    "absolute_error",
    "absolute_percentage_error",
    "add_noise",
    "approximate_ndcg",
    "arcface",
    "attention_transfer_loss",
    "barlow_twins",
    "batch_hard_triplet_loss",
    "best_permutation",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "binary_focal_loss",
    "bradley_terry",
    "capsule_margin_loss",
    "categorical_entropy",
    "categorical_kl",
    "categorical_projection",
    "center_loss",
    "charbonnier_loss",
    "chunked_cross_entropy",
    "ciou_loss",
    "circle_loss",
    "clip_loss",
    "clipped_value_loss",
    "contrastive_loss",
    "coral_loss",
    "cosface",
    "cosine_distance",
    "cosine_embedding_loss",
    "cosine_noise_schedule",
    "cox_partial_likelihood",
    "crf_decode",
    "crf_loss",
    "crf_spec",
    "cross_entropy",
    "ctc_alignment",
    "ctc_loss",
    "denoising_loss",
    "denoising_target",
    "diagonal_fisher",
    "dice_loss",
    "dino_loss",
    "diou_loss",
    "distillation_loss",
    "double_q_learning_loss",
    "dpo_loss",
    "ensemble_crps",
    "epsilon_insensitive_loss",
    "ewc_penalty",
    "flow_matching_loss",
    "focal_loss",
    "focal_tversky_loss",
    "gamma_deviance",
    "gan_discriminator_loss",
    "gan_generator_loss",
    "gaussian_crps",
    "gaussian_kl",
    "gaussian_mixture_nll",
    "gaussian_nll",
    "ge2e_contrast_loss",
    "ge2e_loss",
    "generalized_advantages",
    "generalized_cross_entropy",
    "generalized_dice_loss",
    "giou_loss",
    "gram_matrix",
    "group_advantages",
    "grpo_loss",
    "hierarchical_softmax",
    "hinge_discriminator_loss",
    "hinge_embedding_loss",
    "hinge_loss",
    "hint_loss",
    "huber_loss",
    "huffman_paths",
    "importance_weighted_elbo_loss",
    "info_nce",
    "interpolate_flow",
    "iou_loss",
    "ipo_loss",
    "jaccard_loss",
    "kto_loss",
    "l1",
    "l2",
    "lambda_returns",
    "lambdarank",
    "laplace_nll",
    "least_squares_discriminator_loss",
    "least_squares_generator_loss",
    "linear_noise_schedule",
    "listmle",
    "listnet",
    "log_cosh",
    "lovasz_hinge",
    "lovasz_softmax",
    "lpips",
    "margin_ranking_loss",
    "min_snr_weight",
    "minimax_generator_loss",
    "modified_huber_loss",
    "ms_ssim_loss",
    "multi_label_margin_loss",
    "multi_margin_loss",
    "multiclass_hinge_loss",
    "n_pairs_loss",
    "negative_binomial_nll",
    "negative_cosine",
    "negative_elbo",
    "nt_xent",
    "ordinal_cross_entropy",
    "orpo_loss",
    "p2_weight",
    "perceptron_loss",
    "permutation_invariant_loss",
    "poisson_deviance",
    "poisson_nll",
    "policy_gradient_loss",
    "poly_loss",
    "ppo_loss",
    "q_learning_loss",
    "quantile_loss",
    "quantile_regression_loss",
    "r1_penalty",
    "r2_penalty",
    "ranknet",
    "relation_distillation_loss",
    "semi_hard_triplet_loss",
    "sequence_log_prob",
    "siglip_loss",
    "sigmoid_loss",
    "simpo_loss",
    "smooth_l1_loss",
    "snr_weight",
    "soft_cross_entropy",
    "sphereface",
    "squared_error",
    "squared_hinge_loss",
    "squared_log_error",
    "ssim_loss",
    "standard_gaussian_kl",
    "student_t_nll",
    "style_loss",
    "supervised_contrastive_loss",
    "td_loss",
    "total_variation",
    "transducer_loss",
    "triplet_margin_loss",
    "tversky_loss",
    "tweedie_deviance",
    "update_center",
    "update_centers",
    "vicreg",
    "vtrace",
    "wasserstein_discriminator_loss",
    "wasserstein_generator_loss",
    "wgan_gradient_penalty",
]
