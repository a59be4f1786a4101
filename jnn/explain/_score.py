"""What is explained, a function of one example to one number, and how often it is asked at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jnn import checks
from jnn.precision import wide

Score = Callable[[jax.Array], jax.Array]  # of one example (...) to a number ()


def score(where: str, f: Score) -> Score:
    """f, which raises ValueError where what comes out is no single number.

    >>> score("saliency", jnp.cumsum)(jnp.ones(3))
    Traceback (most recent call last):
    ValueError: saliency: expected f(x) to be one number, found float32[3]. Choose one of them: lambda x: f(x)[0]; for a
    batch, jax.vmap the explanation.
    """

    def one(x: jax.Array) -> jax.Array:
        y = f(x)
        if jnp.shape(y):
            raise ValueError(
                f"{where}: expected f(x) to be one number, found {checks.describe(y)}. Choose one of them: "
                "lambda x: f(x)[0]; for a batch, jax.vmap the explanation."
            )
        return y

    return one


def example(where: str, x: jax.Array, *, ndim: int = 0) -> jax.Array:
    """x as an array of JAX, once it is known to be floating point, not empty, and of so many axes at least."""
    checks.floats(where, x, ndim=ndim)
    return jnp.asarray(x)


def like(where: str, x: jax.Array, baseline: ArrayLike, what: str = "baseline") -> jax.Array:
    """A baseline in x's shape and dtype; raises ValueError where it has another shape.

    >>> like("occlusion", jnp.ones((4, 4, 3)), jnp.zeros((4, 4)))
    Traceback (most recent call last):
    ValueError: occlusion: expected one number for the baseline, or an array that is repeated to float32[4,4,3]; found
    float32[4,4].
    """
    known = jnp.asarray(baseline, x.dtype)
    try:
        return jnp.broadcast_to(known, x.shape)
    except ValueError as error:
        raise ValueError(
            f"{where}: expected one number for the {what}, or an array that is repeated to {checks.describe(x)}; "
            f"found {checks.describe(known)}."
        ) from error


def each(f: Callable[..., Any], *rows: jax.Array, batch_size: int | None) -> Any:
    """f of each row: of all at once, or of so many at a time."""
    if batch_size is None:
        return jax.vmap(f)(*rows)
    checks.count("batch_size", "examples at a time", batch_size)
    return jax.lax.map(lambda row: f(*row), rows, batch_size=batch_size)


def weighted_sum(
    f: Callable[..., jax.Array], weights: jax.Array, *rows: jax.Array, batch_size: int | None
) -> jax.Array:
    """The sum of `weights[i] * f(rows[i])`, in float32 at least."""
    values = wide(each(f, *rows, batch_size=batch_size))
    return jnp.tensordot(weights.astype(values.dtype), values, 1)
