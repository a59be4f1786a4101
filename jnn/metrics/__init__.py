"""Metrics as sums. A metric is a small pytree of totals; adding two, leaf by leaf, is exact pooling.

A metric that is no sum says how it combines: the `Last` of several numbers, the `Max`, a `concatenation` of rows.

    metric = accuracy(logits, labels)         sums of one batch, made inside the step
    merge(a, b, ...)                          sums over batches, steps and devices, in float64 on the host
    metric.value()                            the number, from the sums

Laws: the sums of any split of a batch, over any number of devices, add up to the sums of the whole, exactly
where they count; an example of weight 0 changes nothing, whatever it holds; labels out of range are a
ValueError where values are known, and make the metric NaN under `jit`. `value()` works on the last axes, so
metrics of several steps at once (`steps_per_call`) give a number for each. Nothing counted gives NaN.

What lives here measures. What does not: losses to be differentiated (`jnn.losses`), printing, plots.
"""

from jnn.metrics._classification import Perplexity, accuracy, binary_accuracy, perplexity, top_k_accuracy
from jnn.metrics._confusion import Confusion, Counts, binary_counts, class_counts, confusion_matrix
from jnn.metrics._kinds import (
    Concatenation,
    Last,
    Max,
    Sum,
    adds_up,
    by_kind,
    check_metrics,
    concatenation,
    fold,
    of_nothing,
    to_add,
)
from jnn.metrics._ranking import AucHistogram, roc_auc, roc_auc_histogram
from jnn.metrics._regression import (
    RootMean,
    RSquared,
    mean_absolute_error,
    mean_squared_error,
    r_squared,
    root_mean_squared_error,
)
from jnn.metrics._sums import Mean, mean, merge

__all__ = [
    "AucHistogram",
    "Concatenation",
    "Confusion",
    "Counts",
    "Last",
    "Max",
    "Mean",
    "Perplexity",
    "RSquared",
    "RootMean",
    "Sum",
    "accuracy",
    "adds_up",
    "binary_accuracy",
    "binary_counts",
    "by_kind",
    "check_metrics",
    "class_counts",
    "concatenation",
    "confusion_matrix",
    "fold",
    "mean",
    "mean_absolute_error",
    "mean_squared_error",
    "merge",
    "of_nothing",
    "perplexity",
    "r_squared",
    "roc_auc",
    "roc_auc_histogram",
    "root_mean_squared_error",
    "to_add",
    "top_k_accuracy",
]
