"""Bad input is one clear error."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from jnn import metrics as M

X, Y = jnp.ones((4, 3)), jnp.zeros(4, jnp.int32)
BOXES = jnp.ones((4, 1, 4))


def panoptic(image):
    return M.panoptic_quality(image, image, num_classes=2, num_instances=1)


def instances(image, thresholds=(0.5,)):
    return M.instance_precision(image, image, num_instances=3, thresholds=thresholds)


def boxes(labels, score=1.0, true=BOXES):
    return M.mean_average_precision(BOXES, score * X[:, :1], labels, true, Y[:, None], num_classes=2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: M.accuracy(X, Y[:2]),
            ValueError,
            r"expected labels \(4,\) for logits float32\[4,3\], found int32\[2\]",
        ),
        (lambda: M.accuracy(X, X[:, 0]), TypeError, "^accuracy: expected integers, found float32.*labels.astype"),
        (lambda: M.accuracy(X, X.astype(int)), ValueError, r"^accuracy: .* Of one-hot labels take labels.argmax\(-1\)"),
        (lambda: M.accuracy(Y[:, None], Y), TypeError, "expected floating-point input, found int32"),
        (lambda: M.accuracy(X[:0], Y[:0]), ValueError, "at least one example"),
        (lambda: M.top_k_accuracy(X, Y, 4), ValueError, r"top_k_accuracy: expected k in 1\.\.3, found 4"),
        (
            lambda: M.accuracy(X, Y, jnp.ones(3)),
            ValueError,
            r"weights of the leading axes of int32\[4\], found float32\[3\]",
        ),
        (lambda: M.confusion_matrix(X, X), TypeError, "confusion_matrix: expected integers"),
        (lambda: M.binary_accuracy(X, Y), ValueError, "binary_accuracy: expected equal shapes"),
        (lambda: M.binary_counts(X[0, 0], Y[0]), ValueError, "binary_counts: expected an array of rank 1 or more"),
        (lambda: M.roc_auc(X, X * 0.5), ValueError, "roc_auc: expected labels 0 and 1, found values from 0.5 to 0.5"),
        (lambda: M.roc_auc_histogram(X, X, bins=0), ValueError, "expected at least one bin, found 0"),
        (lambda: M.mean_absolute_error(X, Y), ValueError, "mean_absolute_error: expected equal shapes"),
        (lambda: M.r_squared(X[:, 0], X[:, 0]), ValueError, "r_squared: expected an array of rank 2 or more"),
        (lambda: M.brier_score(2 * X, Y), ValueError, r"brier_score: expected probabilities in \[0, 1\], found"),
        (lambda: M.calibration_error(X / 3, Y, bins=0), ValueError, "calibration_error: expected at least one bin"),
        (lambda: M.average_precision(X, X * 0.5), ValueError, "average_precision: expected labels 0 and 1"),
        (lambda: M.average_precision_histogram(X, X, bins=0), ValueError, "at least one bin, found 0"),
        (lambda: M.subset_accuracy(X, X, X), ValueError, r"weights of the leading axes of float32\[4\]"),
        (
            lambda: M.group_counts(X, X, X, num_groups=2),
            TypeError,
            "group_counts: expected integers, found",
        ),
        (lambda: M.group_counts(X[:, 0], Y, Y + 2, num_groups=2), ValueError, r"groups in 0\.\.1 \(2 groups\)"),
        (lambda: M.ndcg(X, X, k=4), ValueError, r"ndcg: expected k in 1\.\.3, found 4"),
        (lambda: M.hit_rate(X, X[:2], 1), ValueError, "hit_rate: expected equal shapes"),
        (lambda: M.naive_error(X, 3), ValueError, r"naive_error: expected a period in 1\.\.2, found 3"),
        (lambda: M.mean_absolute_scaled_error(X, X, X), ValueError, r"a scale of each series \(4,\), found float32"),
        (lambda: M.quantile_error(X, X, jnp.ones(3)), ValueError, r"quantile_error: expected predictions \(\.\.\., q"),
        (lambda: M.quantile_error(X, X[:, 0], 2 * jnp.ones(3)), ValueError, r"quantiles in \[0, 1\]"),
        (lambda: M.interval_coverage(X, X, X[0]), ValueError, "interval_coverage: expected equal shapes"),
        (lambda: M.pearson_correlation(X[0], X[0]), ValueError, "pearson_correlation: expected an array of rank 2"),
        (lambda: M.spearman_correlation(X, X[0]), ValueError, "spearman_correlation: expected equal shapes"),
        (lambda: M.kendall_correlation(X, X[0]), ValueError, "kendall_correlation: expected equal shapes"),
        (lambda: M.kendall_correlation(X, X, variant="a"), ValueError, "expected variant 'b' or 'c', found 'a'"),
        (lambda: M.roc_curve(X, X * 0.5), ValueError, "roc_curve: expected labels 0 and 1"),
        (lambda: M.equal_error_rate(Y, Y), TypeError, "equal_error_rate: expected floating-point input"),
        (lambda: M.log_auc(X, X, low=0.0), ValueError, "log_auc: expected 0 < low < high <= 1, found low 0.0 and"),
        (lambda: M.weighted_absolute_percentage_error(X, Y), ValueError, "expected equal shapes"),
        (lambda: M.fleiss_kappa(X), TypeError, "fleiss_kappa: expected integers, found float32"),
        (
            lambda: M.fleiss_kappa(Y[:, None] + 1),
            ValueError,
            "of 2 raters or more .* votes from 1 and examples of 1 raters",
        ),
        (lambda: M.fleiss_kappa(jnp.array([[4, -1]])), ValueError, "votes from -1 and examples of 3 raters"),
        (lambda: M.contingency(Y, Y + 5, num_clusters=2, num_classes=5), ValueError, r"labels in 0\.\.4 \(5 labels\)"),
        *(
            (
                partial(of, np.array([0.2, 0.8]), np.array([0, 1]), 95.0),
                ValueError,
                r"expected \w+ in \[0, 1\], found 95",
            )
            for of in (
                M.sensitivity_at_specificity,
                M.specificity_at_sensitivity,
                M.precision_at_recall,
                M.recall_at_precision,
            )
        ),
        (lambda: M.silhouette_score(X, Y[:2]), ValueError, r"silhouette_score: expected x \(rows, features\)"),
        (lambda: M.feature_moments(Y), TypeError, "feature_moments: expected floating-point input"),
        (lambda: M.kernel_distance(X, X[:1]), ValueError, "kernel_distance: expected features .* found"),
        (lambda: M.si_sdr(X, X[0]), ValueError, "si_sdr: expected equal shapes"),
        (lambda: M.snr(X, X[0]), ValueError, "snr: expected equal shapes"),
        (lambda: M.sdr(X, X, filter_length=0), ValueError, "sdr: expected filter_length of 1 or more, found 0"),
        (lambda: M.sdr(X, X, X), ValueError, "sdr: expected weights of the leading axes"),
        (lambda: M.fall_out_at_k(X, X, 4), ValueError, r"fall_out_at_k: expected k in 1\.\.3, found 4"),
        (lambda: M.spectral_angle(X, X), ValueError, "spectral_angle: expected an array of rank 3 or more"),
        (lambda: M.ergas(BOXES, BOXES, ratio=0), ValueError, "ergas: expected ratio > 0"),
        (lambda: M.windowed_root_mean_squared_error(BOXES, BOXES), ValueError, "of 8 pixels, found 4 x 1. Give a sma"),
        (lambda: M.spectral_distortion(BOXES, BOXES[..., :1]), ValueError, "same leading axes and two bands or more"),
        (lambda: M.spectral_distortion(BOXES, BOXES), ValueError, "expected images as large as the window of 11"),
        (
            lambda: panoptic(jnp.zeros((1, 2, 3), int)),
            ValueError,
            r"expected \(\.\.\., y, x, 2\), class and instance, found",
        ),
        (lambda: instances(X), TypeError, "instance_precision: expected integers, found float32"),
        (lambda: instances(Y), ValueError, "instance_precision: expected an array of rank 2 or more"),
        (lambda: instances(Y[None] + 3), ValueError, r"expected instances in 0\.\.2 \(3 instances\), found 3"),
        (lambda: instances(Y[None], (0.4,)), ValueError, r"thresholds of at least 0\.5 and below 1, found \(0\.4,\)"),
        (lambda: instances(Y[None], ()), ValueError, r"thresholds of at least 0\.5 and below 1, found \(\)"),
        (lambda: panoptic(jnp.full((1, 2, 2), 7)), ValueError, r"panoptic_quality: expected classes"),
        (lambda: boxes(Y[:, None] + 3), ValueError, r"expected labels in 0\.\.1, or -1 for none, found 3\.\.3"),
        (lambda: boxes(Y[:, None], jnp.nan), ValueError, "found NaN among the scores whose label is not -1"),
        (
            lambda: boxes(Y[:, None], true=-BOXES.cumsum(-1)),
            ValueError,
            r"true boxes of corners .*\[-1.0, -2",
        ),
        (lambda: boxes(Y), ValueError, r"expected boxes \(images, n, 4\), and labels and scores"),
        (lambda: boxes(X[:, :1]), TypeError, "expected integer labels"),
        (lambda: M.bleu("a", ["a"]), TypeError, r"bleu: expected hypotheses as a sequence.*Give \[hypothesis\]"),
        (lambda: M.chrf(["a"], []), ValueError, "chrf: expected as many hypotheses as references"),
        (lambda: M.rouge_l(["a"], [[]]), ValueError, "rouge_l: expected a reference or more in each row, found none"),
        (lambda: M.rouge_n(["a"], ["a"], 0), ValueError, "rouge_n: expected n of 1 or more, found 0"),
        (lambda: M.word_error_rate(["a"], [["a", "b"]]), ValueError, "expected one reference in each row, found 2"),
        (
            lambda: M.match_error_rate(["a"], [["a", "b"]]),
            ValueError,
            "match_error_rate: expected one reference in each",
        ),
        (
            lambda: M.translation_edit_rate(["a"], [[]]),
            ValueError,
            "translation_edit_rate: expected a reference or more",
        ),
        (lambda: M.extended_edit_distance("a", ["a"]), TypeError, "extended_edit_distance: expected hypotheses as a s"),
        (lambda: M.exact_match([3], ["a"]), TypeError, "exact_match: expected strings, found int in row 0"),
        (lambda: M.mean(X[:0]), ValueError, "mean: expected at least one example"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
