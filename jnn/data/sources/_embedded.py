"""Real data sets that ship inside scikit-learn, so that a first run needs no files.

scikit-learn is imported where it is used: it comes with `pip install "jnn[experiments]"`.
"""

from __future__ import annotations

import numpy as np


def digits() -> dict[str, np.ndarray]:
    """Handwritten digits: 1,797 of 8 by 8 pixels.

    See "Optical Recognition of Handwritten Digits", Alpaydin and Kaynak, 1998 (UCI).

    Returns:
      `{"x": (1797, 8, 8) float32 in 0..1, "y": (1797,) int32 in 0..9}`.

    >>> digits()["x"].shape
    (1797, 8, 8)
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    return {"x": (data.images / 16).astype(np.float32), "y": data.target.astype(np.int32)}


def breast_cancer() -> dict[str, np.ndarray]:
    """Breast Cancer Wisconsin (Diagnostic): 30 measurements of cell nuclei; 1 is benign.

    See "Nuclear feature extraction for breast tumor diagnosis", Street, Wolberg and Mangasarian, 1993.

    Returns:
      `{"x": (569, 30) float32 in the original units, "y": (569,) int32 in 0..1}`.

    >>> breast_cancer()["x"].shape
    (569, 30)
    """
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return {"x": data.data.astype(np.float32), "y": data.target.astype(np.int32)}


def diabetes() -> dict[str, np.ndarray]:
    """Diabetes progression after one year, from ten measurements of 442 patients.

    See "Least Angle Regression", Efron, Hastie, Johnstone and Tibshirani, 2004.

    Returns:
      `{"x": (442, 10) float32, "y": (442, 1) float32}`, both in the original units.

    >>> diabetes()["y"].shape
    (442, 1)
    """
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    return {"x": data.data.astype(np.float32), "y": data.target.astype(np.float32)[:, None]}
