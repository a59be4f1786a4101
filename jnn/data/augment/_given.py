"""What an augmentation is given: arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from jnn import checks
from jnn.data._checked import check_array


def check_input(name: str, x: Any, what: str = "x") -> None:
    """Raises unless x is an array whose values are the same on the device."""
    check_array(name, what, x)
    if isinstance(x, np.ndarray):
        checks.held(name, what, x)
