"""Every metric that is a sum, with an example: a new one joins by a row, compiled where it is many small programs."""

import jax.numpy as jnp
import numpy as np

from jnn import metrics as M
from tests.metrics.examples import (
    classified,
    clustered,
    featured,
    grouped,
    imaged,
    intervals,
    labelled,
    numbered,
    positive,
    probable,
    quantiles,
    ranked,
    rated,
    regressed,
    scaled,
    scored,
    segmented,
    signals,
    texts,
)


def area(curve):
    """A number that follows from every point."""
    return np.trapezoid(curve.sensitivity, curve.false_positive_rate)


EVERY = {
    "accuracy": (M.accuracy, classified),
    "top_k_accuracy": (lambda x, y, w=None: M.top_k_accuracy(x, y, 3, w), classified),
    "confusion_matrix": (M.confusion_matrix, classified),
    "class_counts": (M.class_counts, classified),
    "mean_iou": (M.mean_iou, classified),
    "brier_score": (M.brier_score, probable),
    "calibration_error": (M.calibration_error, probable),
    "inception_score": (lambda x, y, w=None: M.inception_score(x, w), classified),
    "binary_accuracy": (M.binary_accuracy, scored),
    "binary_counts": (lambda x, y, w=None: M.binary_counts(x[:, None], y[:, None], w), scored),
    "specificity": (M.specificity, scored),
    "roc_auc_histogram": (M.roc_auc_histogram, scored),
    "average_precision_histogram": (M.average_precision_histogram, scored),
    "group_counts": (lambda *arrays: M.group_counts(*arrays, num_groups=3), grouped),
    "hamming_loss": (M.hamming_loss, labelled),
    "subset_accuracy": (M.subset_accuracy, labelled),
    "mean": (lambda x, y, w=None: M.mean(x, w), scored),
    "perplexity": (lambda x, y, w=None: M.perplexity(x, w), scored),
    "mean_absolute_error": (M.mean_absolute_error, regressed),
    "mean_squared_error": (M.mean_squared_error, regressed),
    "root_mean_squared_error": (M.root_mean_squared_error, regressed),
    "r_squared": (M.r_squared, regressed),
    "explained_variance": (M.explained_variance, regressed),
    "pearson_correlation": (M.pearson_correlation, regressed),
    "concordance_correlation": (M.concordance_correlation, regressed),
    "mean_absolute_percentage_error": (M.mean_absolute_percentage_error, positive),
    "symmetric_mean_absolute_percentage_error": (M.symmetric_mean_absolute_percentage_error, positive),
    "weighted_absolute_percentage_error": (M.weighted_absolute_percentage_error, positive),
    "mean_squared_log_error": (M.mean_squared_log_error, positive),
    "mean_absolute_scaled_error": (M.mean_absolute_scaled_error, scaled),
    "quantile_error": (lambda x, y, w=None: M.quantile_error(x, y, jnp.array([0.1, 0.5, 0.9]), w), quantiles),
    "interval_coverage": (M.interval_coverage, intervals),
    "ndcg": (lambda x, y, w=None: M.ndcg(x, y, w, k=3), ranked),
    "retrieval_average_precision": (M.retrieval_average_precision, ranked),
    "mean_reciprocal_rank": (M.mean_reciprocal_rank, ranked),
    "precision_at_k": (lambda x, y, w=None: M.precision_at_k(x, y, 2, w), ranked),
    "recall_at_k": (lambda x, y, w=None: M.recall_at_k(x, y, 2, w), ranked),
    "hit_rate": (lambda x, y, w=None: M.hit_rate(x, y, 2, w), ranked),
    "r_precision": (M.r_precision, ranked),
    "fall_out_at_k": (lambda x, y, w=None: M.fall_out_at_k(x, y, 2, w), ranked),
    "contingency": (lambda x, y, w=None: M.contingency(x, y, w, num_clusters=4, num_classes=5), clustered),
    "fleiss_kappa": (M.fleiss_kappa, rated),
    "feature_moments": (M.feature_moments, featured),
    "snr": (M.snr, signals),
    "si_sdr": (M.si_sdr, signals),
    "si_snr": (M.si_snr, signals),
    "spectral_angle": (M.spectral_angle, imaged),
    "ergas": (M.ergas, imaged),
    "rase": (M.rase, imaged),
    "windowed_root_mean_squared_error": (lambda *a: M.windowed_root_mean_squared_error(*a, window=2), imaged),
    "spectral_distortion": (lambda *a: M.spectral_distortion(*a, window=1), imaged),
    "instance_precision": (
        lambda *arrays: M.instance_precision(*arrays, num_instances=5, thresholds=(0.5, 0.7)),
        numbered,
    ),
    "panoptic_quality": (lambda *arrays: M.panoptic_quality(*arrays, num_classes=2, num_instances=2), segmented),
}
COUNTS = {
    "accuracy",
    "top_k_accuracy",
    "confusion_matrix",
    "class_counts",
    "mean_iou",
    "binary_accuracy",
    "binary_counts",
    "specificity",
    "roc_auc_histogram",
    "average_precision_histogram",
    "group_counts",
    "hamming_loss",
    "subset_accuracy",
    "interval_coverage",
    "hit_rate",
    "contingency",
    "instance_precision",
}
# those that read labels of five classes, or 0 and 1
LABELS = {
    "accuracy",
    "top_k_accuracy",
    "confusion_matrix",
    "class_counts",
    "mean_iou",
    "brier_score",
    "calibration_error",
    "binary_accuracy",
    "binary_counts",
    "specificity",
    "average_precision_histogram",
    "group_counts",
    "hamming_loss",
    "subset_accuracy",
    "contingency",
}
# those that read numbers in [0, 1], whatever the threshold
PROBABILITIES = {"roc_auc_histogram", "average_precision_histogram", "brier_score", "calibration_error"}
# of strings, on the host
TEXTS = {
    "bleu": (M.bleu, texts),
    "chrf": (M.chrf, texts),
    "rouge_n": (lambda x, y, w=None: M.rouge_n(x, y, 2, w), texts),
    "rouge_l": (M.rouge_l, texts),
    "word_error_rate": (M.word_error_rate, texts),
    "character_error_rate": (M.character_error_rate, texts),
    "match_error_rate": (M.match_error_rate, texts),
    "word_information_preserved": (M.word_information_preserved, texts),
    "translation_edit_rate": (M.translation_edit_rate, texts),
    "extended_edit_distance": (M.extended_edit_distance, texts),
    "exact_match": (M.exact_match, texts),
    "token_f1": (M.token_f1, texts),
}
# of arrays, but sums in float64, on the host
ON_HOST = {"sdr": (lambda x, y, w=None: M.sdr(x, y, w, filter_length=4), signals)}
# no sums: numbers of whole arrays, on the host
WHOLE = {
    "roc_auc": (M.roc_auc, scored),
    "average_precision": (M.average_precision, scored),
    "recall_at_precision": (lambda x, y, w=None: M.recall_at_precision(x, y, 0.5, w), scored),
    "precision_at_recall": (lambda x, y, w=None: M.precision_at_recall(x, y, 0.5, w), scored),
    "roc_curve": (lambda *arrays: area(M.roc_curve(*arrays)), scored),
    "equal_error_rate": (M.equal_error_rate, scored),
    "log_auc": (lambda *arrays: M.log_auc(*arrays, low=0.01, high=0.5), scored),
    "sensitivity_at_specificity": (lambda x, y, w=None: M.sensitivity_at_specificity(x, y, 0.5, w), scored),
    "specificity_at_sensitivity": (lambda x, y, w=None: M.specificity_at_sensitivity(x, y, 0.5, w), scored),
    "kendall_correlation": (M.kendall_correlation, regressed),
    "spearman_correlation": (M.spearman_correlation, regressed),
    "silhouette_score": (lambda x, y, w=None: M.silhouette_score(x, y, w), classified),
}
