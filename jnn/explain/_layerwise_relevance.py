"""Layer-wise relevance propagation, and gradients that are guided: explanations that know what a network is made of.

Laws: without biases relevance is conserved, the sum over x is the score that was explained, but for what epsilon
absorbs; of ReLUs and linear maps without biases, LRP-epsilon with a vanishing epsilon is the input times its gradient.
A guided activation computes what it did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.explain._score import example
from jnn.explain._stages import Stage, apply_stages, relevance_through
from jnn.precision import wide


def layerwise_relevance(stages: Sequence[Stage], x: jax.Array, target: int | jax.Array) -> jax.Array:
    """Layer-wise relevance propagation (LRP): a score is handed back, stage by stage, to what contributed to it.

    See "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation", Bach et
    al., 2015; which rule where: "Layer-Wise Relevance Propagation: An Overview", Montavon et al., 2019.

    Args:
      stages: the network, from x to scores (classes,), each stage with its rule.
      x: (...), one example, floating point; of a batch, `jax.vmap`.
      target: which of the scores is explained, an integer.

    Returns:
      (...), in x's shape and dtype; computed in float32 at least.

    Raises:
      TypeError: x is not floating point, or the target no integer.
      ValueError: x is empty, the scores are not (classes,), the target is none of them, or a rule gives another shape.

    >>> from jnn.explain import activation_stage
    >>> w = jnp.array([[1.0, 0.0], [2.0, -1.0]])
    >>> stages = [Stage(lambda w, x: x @ w, w), activation_stage(jax.nn.relu)]
    >>> [round(v, 3) for v in layerwise_relevance(stages, jnp.array([1.0, 3.0]), 0).tolist()]
    [1.0, 6.0]
    """
    x = example("layerwise_relevance", x)
    scores = apply_stages(stages, wide(x))
    if scores.ndim != 1:
        raise ValueError(f"layerwise_relevance: expected scores (classes,), found {checks.describe(scores)}.")
    target = checks.integers("layerwise_relevance", jnp.asarray(target), name="the target")
    checks.in_range("layerwise_relevance", target, len(scores), what="the target")
    chosen = jnp.where(jnp.arange(len(scores)) == target, scores, 0.0)
    return relevance_through(stages, wide(x), chosen).astype(x.dtype)


def guided(activation: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """Guided backpropagation: the same activation, whose gradient lets only what is positive back.

    See "Striving for Simplicity: The All Convolutional Net", Springenberg et al., 2014. A network that is built with
    `guided(jax.nn.relu)` in place of `jax.nn.relu` has its guided gradient by `gradient(f, x)`. It hardly depends on
    the weights behind the first: see `sanity_check`.

    Args:
      activation: elementwise.

    Returns:
      A function of the same values.

    >>> f = lambda activation: lambda x: activation(x) @ jnp.array([2.0, -1.0])
    >>> [jax.grad(f(one))(jnp.ones(2)).tolist() for one in (jax.nn.relu, guided(jax.nn.relu))]
    [[2.0, -1.0], [2.0, 0.0]]
    """

    @jax.custom_vjp
    def same(x: jax.Array) -> jax.Array:
        return activation(x)

    def backward(x: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
        return (jax.vjp(activation, x)[1](jax.nn.relu(cotangent))[0],)

    same.defvjp(lambda x: (activation(x), x), backward)
    return same
