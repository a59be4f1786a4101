"""Losses."""

from __future__ import annotations

import numpy as np

from jnn import losses
from tests.table.rows import Loss, classes, pair, probabilities, soft_classes

WEIGHTS = np.array([0.5, 1.0, 2.0, 3.0], np.float32)

LOSSES = [
    # regression
    Loss("squared_error", losses.squared_error, pair(3)),
    Loss("absolute_error", losses.absolute_error, pair(3)),
    Loss("huber_loss", losses.huber_loss, pair(3)),
    # classification
    Loss("binary_cross_entropy", losses.binary_cross_entropy, probabilities(3)),
    Loss("binary_cross_entropy_with_logits", losses.binary_cross_entropy_with_logits, probabilities(3)),
    Loss("cross_entropy", losses.cross_entropy, classes(4)),
    Loss(
        "cross_entropy-smoothed-weighted",
        lambda logits, labels: losses.cross_entropy(logits, labels, smoothing=0.1, class_weights=WEIGHTS),
        classes(4),
    ),
    Loss("soft_cross_entropy", losses.soft_cross_entropy, soft_classes(4)),
    Loss(
        "soft_cross_entropy-smoothed-weighted",
        lambda logits, targets: losses.soft_cross_entropy(logits, targets, smoothing=0.1, class_weights=WEIGHTS),
        soft_classes(4),
    ),
]
