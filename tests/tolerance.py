"""How near is near, by platform: the one place."""

from __future__ import annotations

import jax

# how much more than a CPU each may differ: other orders of sums, other approximations of exp, tanh, ...
LOOSER = {"cpu": 1.0, "gpu": 10.0, "tpu": 10.0}  # of accelerators a first bound, not yet measured


def loosened(**tolerances: float) -> dict[str, float]:
    """rtol and atol for the platform that the tests run on; exact stays exact.

    >>> loosened(rtol=0, atol=1e-5) == {"rtol": 0, "atol": 1e-5 * LOOSER[jax.default_backend()]}
    True
    """
    return {name: value * LOOSER[jax.default_backend()] for name, value in tolerances.items()}
