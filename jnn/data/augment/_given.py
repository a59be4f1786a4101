"""What an augmentation is given: arrays, and the key that draws its noise, or None for none."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.data._checked import check_array
from jnn.param import is_key


def check_input(name: str, x: Any, what: str = "x") -> None:
    """Raises unless x is an array whose values are the same on the device."""
    check_array(name, what, x)
    if isinstance(x, np.ndarray):
        checks.held(name, what, x)


def check_key(name: str, key: Any) -> None:
    """Raises unless key is one PRNG key, or None.

    >>> check_key("random_flip", 0)
    Traceback (most recent call last):
    TypeError: random_flip: expected one PRNG key, such as jax.random.key(0), or None for no augmentation, found int 0.
    """
    if key is None:
        return
    typed = is_key(key) and key.ndim == 0
    raw = isinstance(key, jax.Array) and key.dtype == jnp.uint32 and key.ndim == 1  # of jax.random.PRNGKey
    if not typed and not raw:
        found = checks.describe(key) if isinstance(key, jax.Array) else f"{type(key).__name__} {key!r}"
        raise TypeError(
            f"{name}: expected one PRNG key, such as jax.random.key(0), or None for no augmentation, found {found}."
        )
