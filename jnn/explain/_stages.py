"""A network as stages in a row, each with a rule by which relevance goes back through it.

    Stage(apply, params, rule)      one map, such as a convolution; `activation_stage(jax.nn.relu)`
    residual_stage(stages)          x plus what stages make of it
    apply_stages(stages, x)         the network, or the part of it that a slice of the list is

A rule is a function (apply, params, x, r) of a stage's input and the relevance r of its output to that of its input, so
that a rule of one's own is one more function. Laws: of a map without bias, every rule conserves the sum of relevance,
but for what epsilon absorbs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks

Apply = Callable[[Any, jax.Array], jax.Array]  # (params, x) -> y
Rule = Callable[[Apply, Any, jax.Array, jax.Array], jax.Array]  # (apply, params, x, relevance of y) -> that of x


def epsilon_rule(epsilon: float = 1e-6) -> Rule:
    """LRP-epsilon: relevance goes to inputs by what each contributes; epsilon absorbs what is weak or contradictory.

    See "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation", Bach et
    al., 2015. Of a maximum or a mean over windows it is the right one, too.

    Args:
      epsilon: what is added to an output before it divides, with its sign.

    Returns:
      A rule for a `Stage`.

    >>> rule = epsilon_rule()
    >>> r = rule(lambda w, x: x @ w, jnp.array([[1.0], [3.0]]), jnp.ones(2), jnp.array([8.0]))
    >>> [round(v, 3) for v in r.tolist()]
    [2.0, 6.0]
    """
    return lambda apply, params, x, r: _share(lambda x: apply(params, x), x, r, epsilon)


def gamma_rule(gamma: float = 0.25, epsilon: float = 1e-6) -> Rule:
    """LRP-gamma: positive weights count `1 + gamma` times, so that what speaks against a class is heard less.

    See "Layer-Wise Relevance Propagation: An Overview", Montavon, Binder, Lapuschkin, Samek and Müller, 2019.

    Args:
      gamma: 0 for LRP-epsilon; the larger, the closer to `positive_rule`.
      epsilon: as in `epsilon_rule`.

    Returns:
      A rule for a `Stage` whose params are weights and biases, in any tree, and whose inputs are not negative.

    >>> rule = gamma_rule(1.0)
    >>> r = rule(lambda w, x: x @ w, jnp.array([[1.0], [-1.5]]), jnp.ones(2), jnp.array([1.0]))
    >>> [round(v, 3) for v in r.tolist()]
    [4.0, -3.0]
    """
    more = lambda w: w + gamma * jax.nn.relu(w)
    return lambda apply, p, x, r: _share(lambda x: apply(jax.tree.map(more, p), x), x, r, epsilon)


def positive_rule(epsilon: float = 1e-6) -> Rule:
    """LRP-z+, or alpha-1-beta-0: relevance goes to the contributions that are positive alone.

    See "Explaining NonLinear Classification Decisions with Deep Taylor Decomposition", Montavon et al., 2017.

    Args:
      epsilon: as in `epsilon_rule`.

    Returns:
      A rule for a `Stage` whose params are weights and biases, in any tree.

    >>> rule = positive_rule()
    >>> r = rule(lambda w, x: x @ w, jnp.array([[1.0], [-3.0]]), jnp.ones(2), jnp.array([8.0]))
    >>> [round(v, 3) for v in r.tolist()]
    [8.0, 0.0]
    """

    def rule(apply: Apply, p: Any, x: jax.Array, r: jax.Array) -> jax.Array:
        up, down = (jax.tree.map(clip, p) for clip in (jax.nn.relu, lambda w: -jax.nn.relu(-w)))
        biases = apply(down, jnp.zeros_like(x))  # those below 0 contribute nothing
        both = lambda x: apply(up, x[0]) + apply(down, x[1]) - biases
        split = jnp.stack([jax.nn.relu(x), -jax.nn.relu(-x)])
        return _share(both, split, r, epsilon).sum(0)

    return rule


def pass_rule(apply: Apply, params: Any, x: jax.Array, r: jax.Array) -> jax.Array:
    """LRP's identity: relevance stays where it is, in x's shape; for elementwise functions and for reshaping.

    >>> pass_rule(lambda p, x: x.ravel(), None, jnp.ones((1, 2)), jnp.array([3.0, 4.0])).tolist()
    [[3.0, 4.0]]
    """
    return r.reshape(x.shape)


class Stage(NamedTuple):
    """Stage of a network: `apply(params, x)` of one example, and how relevance goes back through it."""

    apply: Apply
    params: Any = None
    rule: Rule = epsilon_rule()


def activation_stage(activation: Callable[[jax.Array], jax.Array]) -> Stage:
    """Stage without parameters that relevance passes as it is: an elementwise function, or one that reshapes.

    >>> apply_stages([activation_stage(jax.nn.relu)], jnp.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return Stage(lambda _, x: activation(x), rule=pass_rule)


def residual_stage(stages: Sequence[Stage], epsilon: float = 1e-6) -> Stage:
    """Stage of a residual connection, `x + apply_stages(stages, x)`: either has relevance by what it adds.

    Args:
      stages: what is added to x.
      epsilon: as in `epsilon_rule`, of the sum.

    >>> apply_stages([residual_stage([Stage(lambda p, x: p * x, 2.0)])], jnp.ones(2)).tolist()
    [3.0, 3.0]
    """

    def rule(apply: Apply, params: Any, x: jax.Array, r: jax.Array) -> jax.Array:
        h = apply_stages(stages, x)
        share = r / stabilized(x + h, epsilon)
        return x * share + relevance_through(stages, x, h * share)

    return Stage(lambda _, x: x + apply_stages(stages, x), rule=rule)


def apply_stages(stages: Sequence[Stage], x: jax.Array) -> jax.Array:
    """What stages in a row make of x.

    >>> apply_stages([Stage(lambda p, x: p * x, 2.0), Stage(lambda p, x: p + x, 1.0)], jnp.ones(2)).tolist()
    [3.0, 3.0]
    """
    for stage in stages:
        x = stage.apply(stage.params, x)
    return x


def relevance_through(stages: Sequence[Stage], x: jax.Array, r: jax.Array) -> jax.Array:
    """The relevance of x, given that of what the stages make of it."""
    inputs = []
    for stage in stages:
        inputs.append(x)
        x = stage.apply(stage.params, x)
    checks.same_shape("layerwise_relevance", relevance=r, outputs=x)
    for stage, x in zip(reversed(stages), reversed(inputs), strict=True):
        r = stage.rule(stage.apply, stage.params, x, r)
    return r


def stabilized(y: jax.Array, epsilon: float) -> jax.Array:
    """y, further from 0 by epsilon."""
    return y + jnp.where(y < 0, -epsilon, epsilon)


def _share(f: Callable[[jax.Array], jax.Array], x: jax.Array, r: jax.Array, epsilon: float) -> jax.Array:
    """r to the elements of x by what each contributes to y = f(x), a linear map, or one by pieces: x * df/dx."""
    y, back = jax.vjp(f, x)
    return x * back(r / stabilized(y, epsilon))[0]
