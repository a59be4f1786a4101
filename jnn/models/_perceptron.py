"""Rosenblatt's perceptron: one linear threshold unit, and the rule that taught it before gradients.

    perceptron(p, x) -> 0 or 1          perceptron_fit(p, x, y, epochs) -> p, mistakes in each epoch

Laws: on classes that a hyperplane separates with margin g, inputs (and the constant 1) within radius r, the rule makes
at most (r / g) ** 2 mistakes from zero weights, then none; on others it never stops.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import heaviside
from jnn.initializers import Init, zeros
from jnn.layers import linear, linear_spec
from jnn.param import Params, Spec


def perceptron_spec(d_in: int, *, init: Init = zeros, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a perceptron: {"w": (d_in,), "b": ()}, zero at first as the learning rule likes it.

    >>> perceptron_spec(2)["w"].shape
    (2,)
    """
    return linear_spec(d_in, (), axes=("embed",), init=init, dtype=dtype)


def perceptron(p: Params, x: jax.Array) -> jax.Array:
    """Perceptron: 1 where `x @ w + b > 0`, else 0.

    See "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
    Rosenblatt, 1958.

    Args:
      p: {"w": (d_in,), "b": ()}.
      x: (..., d_in), floating point.

    Returns:
      (...), in x's dtype. Its gradient is zero: use `perceptron_fit`.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axis is not d_in, or x is empty.

    >>> logical_and = {"w": jnp.array([1.0, 1.0]), "b": jnp.array(-1.5)}
    >>> perceptron(logical_and, jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
    Array([0., 0., 0., 1.], dtype=float32)
    """
    return heaviside(linear(p, x))


def perceptron_fit(p: Params, x: jax.Array, y: jax.Array, epochs: int) -> tuple[Params, jax.Array]:
    """Perceptron rule: examples one by one, `epochs` times over; at each mistake, `w += (y - answer) * x`, and so b.

    See Rosenblatt, 1958, as above; that it converges: "On Convergence Proofs on Perceptrons", Novikoff, 1962.

    Args:
      p: from `jnn.init(perceptron_spec(d_in), key)`.
      x: (examples, d_in), floating point.
      y: (examples,), 0 or 1, integers or floats.
      epochs: how often all examples are shown, in their order.

    Returns:
      the params; and (epochs,) int32, the number of mistakes in each epoch, 0 once it has converged.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is not (examples, d_in), y not (examples,), or epochs less than 1.

    >>> x, y = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), jnp.array([0, 1, 1, 1])
    >>> p, mistakes = perceptron_fit({"w": jnp.zeros(2), "b": jnp.zeros(())}, x, y, epochs=5)
    >>> perceptron(p, x).tolist(), mistakes[-1].item()
    ([0.0, 1.0, 1.0, 1.0], 0)
    """
    checks.floats("perceptron_fit", x, ndim=2)
    if x.ndim != 2 or y.shape != x.shape[:1] or epochs < 1:
        raise ValueError(
            "perceptron_fit: expected x (examples, d_in), y (examples,) and epochs >= 1; "
            f"found x {checks.describe(x)}, y {checks.describe(y)}, epochs={epochs}."
        )

    def show(p: Params, example: tuple[jax.Array, jax.Array]) -> tuple[Params, jax.Array]:
        x, y = example
        error = y - perceptron(p, x)
        return {"w": p["w"] + error * x, "b": p["b"] + error}, (error != 0).astype(jnp.int32)

    def epoch(p: Params, _: None) -> tuple[Params, jax.Array]:
        p, mistakes = jax.lax.scan(show, p, (x, y.astype(x.dtype)))
        return p, jnp.sum(mistakes, dtype=jnp.int32)

    return jax.lax.scan(epoch, p, length=epochs)
