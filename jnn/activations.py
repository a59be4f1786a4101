"""One door to every activation: `jax.nn`'s, plus what it lacks."""

from __future__ import annotations

from jax.nn import relu

__all__ = ["relu"]
