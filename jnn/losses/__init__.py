"""Losses: one number per example (or token). Nothing here reduces over examples; the train step does, once.

What lives here compares predictions with targets, or penalises params. What does not: metrics
(`jnn.metrics`), reduction, weighting by example.
"""

from jnn.losses._adversarial import (
    gan_critic,
    gan_generator,
    hinge_critic,
    least_squares_critic,
    least_squares_generator,
    minimax_generator,
    wasserstein_critic,
    wasserstein_generator,
)
from jnn.losses._angular import arcface, cosface, sphereface
from jnn.losses._chunked_cross_entropy import chunked_cross_entropy
from jnn.losses._class_centers import center_loss, prototypes, prototypical, update_centers
from jnn.losses._classification import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    soft_cross_entropy,
)
from jnn.losses._contrastive import clip_loss, info_nce, n_pairs, nt_xent, siglip_loss, supervised_contrastive
from jnn.losses._ctc import ctc_loss
from jnn.losses._diffusion import (
    add_noise,
    cosine_noise_schedule,
    denoising_loss,
    denoising_target,
    linear_noise_schedule,
)
from jnn.losses._dino import dino_loss, update_center
from jnn.losses._distillation import attention_transfer, distillation, hint
from jnn.losses._distributional import categorical_projection, quantile_regression
from jnn.losses._flow_matching import flow_matching_loss, interpolate_flow
from jnn.losses._gradient_penalty import r1_penalty, r2_penalty, wgan_gradient_penalty
from jnn.losses._noise_weights import min_snr_weight, p2_weight, snr_weight
from jnn.losses._penalty import l1, l2
from jnn.losses._policy import categorical_entropy, clipped_value, policy_gradient, ppo
from jnn.losses._preference import (
    bradley_terry,
    dpo_loss,
    ipo_loss,
    kto_loss,
    orpo_loss,
    sequence_log_probability,
    simpo_loss,
)
from jnn.losses._regression import absolute_error, huber, squared_error
from jnn.losses._returns import generalized_advantages, lambda_returns, vtrace
from jnn.losses._self_supervised import barlow_twins, negative_cosine, vicreg
from jnn.losses._temporal_difference import double_q_learning, q_learning, td_loss
from jnn.losses._transducer import transducer_loss
from jnn.losses._triplet import batch_hard_triplet, contrastive_pairs, semi_hard_triplet, triplet_margin

__all__ = [
    "absolute_error",
    "add_noise",
    "arcface",
    "attention_transfer",
    "barlow_twins",
    "batch_hard_triplet",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "bradley_terry",
    "categorical_entropy",
    "categorical_projection",
    "center_loss",
    "chunked_cross_entropy",
    "clip_loss",
    "clipped_value",
    "contrastive_pairs",
    "cosface",
    "cosine_noise_schedule",
    "cross_entropy",
    "ctc_loss",
    "denoising_loss",
    "denoising_target",
    "dino_loss",
    "distillation",
    "double_q_learning",
    "dpo_loss",
    "flow_matching_loss",
    "gan_critic",
    "gan_generator",
    "generalized_advantages",
    "hinge_critic",
    "hint",
    "huber",
    "info_nce",
    "interpolate_flow",
    "ipo_loss",
    "kto_loss",
    "l1",
    "l2",
    "lambda_returns",
    "least_squares_critic",
    "least_squares_generator",
    "linear_noise_schedule",
    "min_snr_weight",
    "minimax_generator",
    "n_pairs",
    "negative_cosine",
    "nt_xent",
    "orpo_loss",
    "p2_weight",
    "policy_gradient",
    "ppo",
    "prototypes",
    "prototypical",
    "q_learning",
    "quantile_regression",
    "r1_penalty",
    "r2_penalty",
    "semi_hard_triplet",
    "sequence_log_probability",
    "siglip_loss",
    "simpo_loss",
    "snr_weight",
    "soft_cross_entropy",
    "sphereface",
    "squared_error",
    "supervised_contrastive",
    "td_loss",
    "transducer_loss",
    "triplet_margin",
    "update_center",
    "update_centers",
    "vicreg",
    "vtrace",
    "wasserstein_critic",
    "wasserstein_generator",
    "wgan_gradient_penalty",
]
