"""Laws of every loss of the table: sums in float32 at least, and finite over the range that docstrings promise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import losses
from tests.table import LOSSES

PLAIN = {  # of any predictions and targets
    "log_cosh": losses.log_cosh,
    "smooth_l1_loss": losses.smooth_l1_loss,
    "charbonnier_loss": losses.charbonnier_loss,
    "quantile_loss": functools.partial(losses.quantile_loss, quantile=0.3),
    "epsilon_insensitive_loss": losses.epsilon_insensitive_loss,
    "cosine_distance": losses.cosine_distance,
    "categorical_kl": losses.categorical_kl,
    "margin_ranking_loss": lambda x, y: losses.margin_ranking_loss(x, y, margin=1.0)[:, 0],
    "importance_weighted_elbo_loss": lambda x, y: losses.importance_weighted_elbo_loss(x),
    "coral_loss": lambda x, y: losses.coral_loss(x, (y[:, 0] > 0) + (y[:, 1] > 0) * 1),
    "ensemble_crps": lambda x, y: losses.ensemble_crps(x[:, :, None], y[:, :1]),
    "gaussian_crps": lambda x, y: losses.gaussian_crps(x, jnp.zeros_like(x), y),
    "laplace_nll": lambda x, y: losses.laplace_nll(x, jnp.zeros_like(x), y),
    "student_t_nll": lambda x, y: losses.student_t_nll(x, jnp.zeros_like(x), y, degrees=3.0),
    "cox_partial_likelihood": lambda x, y: losses.cox_partial_likelihood(x, y, y > 0),
    "cox_partial_likelihood-ties": lambda x, y: losses.cox_partial_likelihood(x, y * 0, y > 0),
    "ranknet": losses.ranknet,
    "listnet": losses.listnet,
    "listmle": losses.listmle,
    "lambdarank": lambda x, y: losses.lambdarank(x, y > 0),
    "approximate_ndcg": lambda x, y: losses.approximate_ndcg(x, y > 0),
    "binary_focal_loss": lambda x, y: losses.binary_focal_loss(x, y > 0, gamma=0.5),
    "focal_loss": lambda x, y: losses.focal_loss(x, (y[:, 0] > 0) * 1, gamma=0.5),
    "generalized_cross_entropy": lambda x, y: losses.generalized_cross_entropy(x, (y[:, 0] > 0) * 1),
    "poly_loss": lambda x, y: losses.poly_loss(x, (y[:, 0] > 0) * 1),
    "hinge_loss": lambda x, y: losses.hinge_loss(x, y > 0),
    "modified_huber_loss": lambda x, y: losses.modified_huber_loss(x, y > 0),
    "perceptron_loss": lambda x, y: losses.perceptron_loss(x, y > 0),
    "sigmoid_loss": lambda x, y: losses.sigmoid_loss(x, y > 0),
    "multiclass_hinge_loss": lambda x, y: losses.multiclass_hinge_loss(x, (y[:, 0] > 0) * 1),
    "multi_margin_loss": lambda x, y: losses.multi_margin_loss(x, (y[:, 0] > 0) * 1),
    "multi_label_margin_loss": lambda x, y: losses.multi_label_margin_loss(x, y > 0),
    "cosine_embedding_loss": lambda x, y: losses.cosine_embedding_loss(x, y, y[:, 0] > 0),
    "hinge_embedding_loss": lambda x, y: losses.hinge_embedding_loss(abs(x), y > 0)[:, 0],
    "absolute_percentage_error": lambda x, y: losses.absolute_percentage_error(x, jnp.where(abs(y) < 1, 1, y)),
    "masked_binary_cross_entropy": lambda x, y: losses.binary_cross_entropy_with_logits(x, y > 0, mask=y != 0),
    "lovasz_hinge": lambda x, y: losses.lovasz_hinge(x, y > 0, spatial=1),
    "lovasz_softmax": lambda x, y: losses.lovasz_softmax(x[:, None, :], (y[:, :1] > 0) * 1, spatial=1),
}
SQUARED = {  # finite while squares are
    "squared_hinge_loss": lambda x, y: losses.squared_hinge_loss(x, y > 0),
    "gaussian_nll": lambda x, y: losses.gaussian_nll(x, jnp.zeros_like(x), y),
    "gaussian_mixture_nll": lambda x, y: losses.gaussian_mixture_nll(
        x, x[..., None], jnp.zeros_like(x[..., None]), y[:, :1]
    ),
    "gaussian_kl": lambda x, y: losses.gaussian_kl(x, jnp.zeros_like(x), y, jnp.zeros_like(x)),
    "standard_gaussian_kl": lambda x, y: losses.standard_gaussian_kl(x, jnp.zeros_like(x)),
}


@pytest.mark.parametrize(
    "dtype",
    [jnp.float32, *(pytest.param(d, marks=pytest.mark.slow) for d in (jnp.float16, jnp.bfloat16))],
    ids=lambda d: d.__name__,
)
def test_values_and_gradients_are_finite(dtype):
    info = jnp.finfo(dtype)
    positive = np.array([0, info.smallest_subnormal, info.tiny, 1e-3, 1, 30, 1e4, min(float(info.max) / 4, 1e37)])
    points = np.concatenate([positive, -positive[1:]])
    x = np.stack([a.ravel() for a in np.meshgrid(points, points)], -1)
    small = x[np.abs(x).max(-1) <= 1e4]

    @jax.jit
    def values_and_gradients(x, small):
        each = {name: (f, x) for name, f in PLAIN.items()} | {name: (f, small) for name, f in SQUARED.items()}
        found = {}
        for name, (f, x) in each.items():
            value, back = jax.vjp(lambda x, f=f: f(x, x[::-1] * 0.5), x)
            found[name] = value, back(jnp.ones_like(value))[0]
        return found

    found = values_and_gradients(jnp.asarray(x, dtype), jnp.asarray(small, dtype))
    if dtype == jnp.float16:  # whose range these gradients leave, as docstrings say
        for name in ("cosine_distance", "cosine_embedding_loss"):
            value, gradient = found[name]
            found[name] = value, jnp.where(jnp.abs(x).max(-1, keepdims=True) < 1e-4, 0, gradient)
    broken = {name: [not np.isfinite(np.asarray(a, np.float64)).all() for a in pair] for name, pair in found.items()}
    assert {name: which for name, which in broken.items() if any(which)} == {}


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_values_of_half_precision_are_float32_and_of_float64_float64(loss):
    inputs = [np.asarray(x) for x in loss.inputs(2)]
    for given, expected in ((jnp.bfloat16, jnp.float32), (jnp.float64, jnp.float64)):
        with jax.enable_x64(True):
            cast = [jax.ShapeDtypeStruct(x.shape, given if x.dtype.kind == "f" else x.dtype) for x in inputs]
            assert jax.eval_shape(loss.apply, *cast).dtype == expected, given
