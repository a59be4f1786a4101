"""Explanations: which parts of an input a score rests on, as pure functions of any f of one example to one number.

    saliency, input_times_gradient, smooth_grad     gradients with regard to the input
    integrated_gradients, gradient_shap             their mean on the way from a baseline, or from many
    grad_cam, occlusion                             places of an image: by maps of features, by hiding
    shapley_values, kernel_shap                     shares of a score, exactly or by drawn coalitions
    Stage, layerwise_relevance, guided              what knows a network's stages: LRP by rules, guided gradients
    concept_vector, concept_activation              TCAV: concepts in a layer's activations
    deletion_curve, insertion_curve                 whether a score follows an explanation
    randomized_weights, sanity_check                whether an explanation follows the weights

`f` is yours: `lambda x: model(params, x)[label]`. A batch is `jax.vmap` of one example, with labels of its own:
`jax.vmap(lambda x, label: saliency(lambda x: model(params, x)[label], x))(images, labels)`. Noise is a key.

Laws: jit equals eager, a batch equals its examples, and each has x's dtype. What lives here explains single scores.
What does not: attention as it is computed (`jnn.layers`), metrics of a model (`jnn.metrics`), what a program computes
(`jnn.inspect`).
"""

from jnn.explain._concepts import concept_activation, concept_sensitivity, concept_vector
from jnn.explain._faithfulness import deletion_curve, insertion_curve
from jnn.explain._grad_cam import grad_cam, occlusion
from jnn.explain._integrated_gradients import gradient_shap, integrated_gradients
from jnn.explain._layerwise_relevance import guided, layerwise_relevance
from jnn.explain._saliency import gradient, input_times_gradient, saliency, smooth_grad
from jnn.explain._sanity import randomized_weights, sanity_check
from jnn.explain._score import Score
from jnn.explain._shapley import kernel_shap, shapley_values
from jnn.explain._stages import (
    Rule,
    Stage,
    activation_stage,
    apply_stages,
    epsilon_rule,
    gamma_rule,
    pass_rule,
    positive_rule,
    residual_stage,
)

__all__ = [
    "Rule",
    "Score",
    "Stage",
    "activation_stage",
    "apply_stages",
    "concept_activation",
    "concept_sensitivity",
    "concept_vector",
    "deletion_curve",
    "epsilon_rule",
    "gamma_rule",
    "grad_cam",
    "gradient",
    "gradient_shap",
    "guided",
    "input_times_gradient",
    "insertion_curve",
    "integrated_gradients",
    "kernel_shap",
    "layerwise_relevance",
    "occlusion",
    "pass_rule",
    "positive_rule",
    "randomized_weights",
    "residual_stage",
    "saliency",
    "sanity_check",
    "shapley_values",
    "smooth_grad",
]
