"""Metrics as sums. A metric is a small pytree of totals; adding two, leaf by leaf, is exact pooling.

A metric that is no sum says how it combines: the `Last` of several numbers, the `Max`, a `concatenation` of rows.

    metric = accuracy(logits, labels)         sums of one batch, made inside the step
    merge(a, b, ...)                          sums over batches, steps and devices, in float64 on the host
    metric.value()                            the number, from the sums

Laws: the sums of any split of a batch, over any number of devices, add up to the sums of the whole, exactly
where they count; an example of weight 0 changes nothing, whatever it holds; labels out of range, and logits for
probabilities, are a ValueError where values are known, and make the metric NaN under `jit`. `value()` works on the
last axes, so metrics of several steps at once (`steps_per_call`) give a number for each. Nothing counted gives NaN.

Metrics of texts are sums too, made of strings on the host, and so is `sdr`, in float64. What is no sum (ranks, matched
boxes, distances between rows) is a function of whole arrays on the host, which a `concatenation` of rows puts together:
`spearman_correlation`, `silhouette_score`, `mean_average_precision`, `kernel_distance`, and `roc_auc` and
`average_precision`, the exact forms of what a histogram bounds. So are tests of forecasts, whose steps are in order:
`diebold_mariano`, `pesaran_timmermann`. Wherever metrics combine, their numbers are refused.

What lives here measures. What does not: losses to be differentiated (`jnn.losses`), printing, plots.
"""

from jnn.metrics._agreement import FleissKappa, fleiss_kappa
from jnn.metrics._answers import exact_match, token_f1
from jnn.metrics._audio import sdr, si_sdr, si_snr, snr
from jnn.metrics._bleu import Bleu, ChrF, bleu, chrf, tokenize_13a
from jnn.metrics._calibration import Calibration, brier_score, calibration_error
from jnn.metrics._classification import Perplexity, accuracy, binary_accuracy, perplexity, specificity, top_k_accuracy
from jnn.metrics._clustering import silhouette_score
from jnn.metrics._combine import adds_up, by_kind, check_metrics, fold, of_nothing, to_add
from jnn.metrics._confusion import Confusion, confusion_matrix
from jnn.metrics._contingency import Contingency, contingency
from jnn.metrics._correlation import (
    Concordance,
    ExplainedVariance,
    Pearson,
    concordance_correlation,
    explained_variance,
    pearson_correlation,
)
from jnn.metrics._counts import Counts, MeanIoU, binary_counts, class_counts, mean_iou
from jnn.metrics._detection import BoxAveragePrecision, mean_average_precision
from jnn.metrics._edits import edit_distance, rouge_l, rouge_n
from jnn.metrics._error_rates import (
    WordInformation,
    character_error_rate,
    match_error_rate,
    word_error_rate,
    word_information_preserved,
)
from jnn.metrics._fairness import GroupCounts, group_counts
from jnn.metrics._forecast import (
    interval_coverage,
    mean_absolute_scaled_error,
    mean_squared_log_error,
    naive_error,
    quantile_error,
)
from jnn.metrics._generative import (
    FeatureMoments,
    InceptionScore,
    feature_moments,
    frechet_distance,
    inception_score,
    kernel_distance,
)
from jnn.metrics._instances import InstancePrecision, instance_precision
from jnn.metrics._kinds import Concatenation, Last, Max, Sum, concatenation
from jnn.metrics._multilabel import hamming_loss, subset_accuracy
from jnn.metrics._ndcg import exponential_gain, ndcg
from jnn.metrics._panoptic import PanopticQuality, panoptic_quality
from jnn.metrics._percentage import (
    mean_absolute_percentage_error,
    symmetric_mean_absolute_percentage_error,
    weighted_absolute_percentage_error,
)
from jnn.metrics._precision_recall import (
    PrecisionRecall,
    average_precision,
    average_precision_histogram,
    precision_at_recall,
    recall_at_precision,
)
from jnn.metrics._rank_correlation import kendall_correlation, spearman_correlation
from jnn.metrics._regression import (
    RootMean,
    RSquared,
    mean_absolute_error,
    mean_squared_error,
    r_squared,
    root_mean_squared_error,
)
from jnn.metrics._retrieval import (
    fall_out_at_k,
    hit_rate,
    mean_reciprocal_rank,
    precision_at_k,
    r_precision,
    recall_at_k,
    retrieval_average_precision,
)
from jnn.metrics._roc import (
    RocCurve,
    equal_error_rate,
    log_auc,
    roc_curve,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from jnn.metrics._roc_auc import AucHistogram, roc_auc, roc_auc_histogram
from jnn.metrics._significance import Significance, diebold_mariano, pesaran_timmermann
from jnn.metrics._spectral import ergas, rase, spectral_angle, spectral_distortion, windowed_root_mean_squared_error
from jnn.metrics._sums import Mean, mean, merge
from jnn.metrics._translation import extended_edit_distance, translation_edit_rate

__all__ = [
    "AucHistogram",
    "Bleu",
    "BoxAveragePrecision",
    "Calibration",
    "ChrF",
    "Concatenation",
    "Concordance",
    "Confusion",
    "Contingency",
    "Counts",
    "ExplainedVariance",
    "FeatureMoments",
    "FleissKappa",
    "GroupCounts",
    "InceptionScore",
    "InstancePrecision",
    "Last",
    "Max",
    "Mean",
    "MeanIoU",
    "PanopticQuality",
    "Pearson",
    "Perplexity",
    "PrecisionRecall",
    "RSquared",
    "RocCurve",
    "RootMean",
    "Significance",
    "Sum",
    "WordInformation",
    "accuracy",
    "adds_up",
    "average_precision",
    "average_precision_histogram",
    "binary_accuracy",
    "binary_counts",
    "bleu",
    "brier_score",
    "by_kind",
    "calibration_error",
    "character_error_rate",
    "check_metrics",
    "chrf",
    "class_counts",
    "concatenation",
    "concordance_correlation",
    "confusion_matrix",
    "contingency",
    "diebold_mariano",
    "edit_distance",
    "equal_error_rate",
    "ergas",
    "exact_match",
    "explained_variance",
    "exponential_gain",
    "extended_edit_distance",
    "fall_out_at_k",
    "feature_moments",
    "fleiss_kappa",
    "fold",
    "frechet_distance",
    "group_counts",
    "hamming_loss",
    "hit_rate",
    "inception_score",
    "instance_precision",
    "interval_coverage",
    "kendall_correlation",
    "kernel_distance",
    "log_auc",
    "match_error_rate",
    "mean",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_absolute_scaled_error",
    "mean_average_precision",
    "mean_iou",
    "mean_reciprocal_rank",
    "mean_squared_error",
    "mean_squared_log_error",
    "merge",
    "naive_error",
    "ndcg",
    "of_nothing",
    "panoptic_quality",
    "pearson_correlation",
    "perplexity",
    "pesaran_timmermann",
    "precision_at_k",
    "precision_at_recall",
    "quantile_error",
    "r_precision",
    "r_squared",
    "rase",
    "recall_at_k",
    "recall_at_precision",
    "retrieval_average_precision",
    "roc_auc",
    "roc_auc_histogram",
    "roc_curve",
    "root_mean_squared_error",
    "rouge_l",
    "rouge_n",
    "sdr",
    "sensitivity_at_specificity",
    "si_sdr",
    "si_snr",
    "silhouette_score",
    "snr",
    "spearman_correlation",
    "specificity",
    "specificity_at_sensitivity",
    "spectral_angle",
    "spectral_distortion",
    "subset_accuracy",
    "symmetric_mean_absolute_percentage_error",
    "to_add",
    "token_f1",
    "tokenize_13a",
    "top_k_accuracy",
    "translation_edit_rate",
    "weighted_absolute_percentage_error",
    "windowed_root_mean_squared_error",
    "word_error_rate",
    "word_information_preserved",
]
