"""What oracles of losses share: comparison in float64, and draws."""

import jax
import numpy as np

from tests.oracle import assert_matches_torch


def assert_exact(ours, theirs, *arrays, tolerance=1e-9):
    """Values and gradients in float64, against torch's."""
    with jax.enable_x64(True):
        assert_matches_torch(ours, theirs, arrays, tolerance=tolerance)


def in_float64(f, *arrays):
    """What ours gives, as NumPy."""
    with jax.enable_x64(True):
        return np.asarray(jax.jit(f)(*arrays))


def leading(rng):
    """One or two leading axes."""
    return tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 3)))
