"""Elastic weight consolidation: what an earlier task has learned is held, each parameter as far as the task needs it.

    diagonal_fisher(logits, params, x, key=key) -> fisher      once, when a task has been learned
    ewc_penalty(params, learned, fisher)                       while the next one is

The penalty is a scalar for `LossOutput(..., penalty=strength * ewc_penalty(...))`; of several tasks the sum of theirs.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.param import Params, flatten
from jnn.precision import wide


def ewc_penalty(params: Params, learned: Params, fisher: Params) -> jax.Array:
    """Elastic weight consolidation: half the squared distance from what was learned, each parameter by its information.

    See "Overcoming catastrophic forgetting in neural networks", Kirkpatrick et al., 2017. It is minus the logarithm of
    a Gaussian around what was learned, Laplace's approximation of the task's posterior.

    Args:
      params: the tree of arrays that is trained.
      learned: the same tree, as the earlier task has left it.
      fisher: the same tree, 0 or more each: `diagonal_fisher` of that task.

    Returns:
      A scalar, float32 at least.

    Raises:
      TypeError: a leaf is no array.
      ValueError: the three are not one tree, or shapes differ.

    >>> tree = lambda *values: {"w": jnp.array(values)}
    >>> ewc_penalty(tree(1.0, 2.0), tree(0.0, 0.0), tree(2.0, 0.5))
    Array(2., dtype=float32)
    """
    trees = {"params": params, "learned": learned, "fisher": fisher}
    structures = {name: jax.tree.structure(tree) for name, tree in trees.items()}
    if len(set(structures.values())) > 1:
        found = "\n  ".join(f"{name}: {structure}" for name, structure in structures.items())
        raise ValueError(f"ewc_penalty: expected params, learned and fisher to be one tree, found\n  {found}")
    for path, leaf in flatten(params).items():
        checks.array("ewc_penalty", leaf, path)
    terms = jax.tree.map(_term, params, learned, fisher)
    return 0.5 * sum(jax.tree.leaves(terms), start=jnp.zeros(()))


def diagonal_fisher(
    logits: Callable[[Params, jax.Array], jax.Array], params: Params, x: jax.Array, *, key: jax.Array | None
) -> Params:
    """Fisher information, its diagonal: the mean squared derivative of the log-probability of the model's own labels.

    Labels are the model's, not the data's, whose squared gradients are the "empirical" Fisher information: see
    "Limitations of the Empirical Fisher Approximation for Natural Gradient Descent", Kunstner, Balles and Hennig, 2019.

    Args:
      logits: (params, (n, ...)) -> (n, classes), each example's by itself: without batch normalization.
      params: the tree of arrays.
      x: (n, ...), what the task's examples look like; they are taken one after the other.
      key: of a label drawn for each example; None takes the mean over all labels, a derivative for each class.

    Returns:
      A tree like params, float32 at least, 0 or more.

    Raises:
      ValueError: no examples, or logits that are no (n, classes).

    >>> logits = lambda p, x: x @ p["w"]
    >>> diagonal_fisher(logits, {"w": jnp.zeros((1, 2))}, jnp.array([[2.0]]), key=None)["w"]
    Array([[1., 1.]], dtype=float32)
    """
    checks.rank("diagonal_fisher", x, 1)
    found = jax.eval_shape(logits, params, x).shape
    if len(found) != 2 or found[0] != len(x):
        raise ValueError(f"diagonal_fisher: expected logits (n, classes) of n={len(x)} examples, found {found}.")

    def one(total: Params, i: jax.Array) -> tuple[Params, None]:
        log_p = lambda params: jax.nn.log_softmax(wide(logits(params, x[i][None])[0]))
        squares = _expected(log_p, params) if key is None else _drawn(log_p, params, jax.random.fold_in(key, i))
        return jax.tree.map(jnp.add, total, squares), None

    zero = jax.tree.map(lambda w: jnp.zeros_like(wide(w)), params)
    total, _ = jax.lax.scan(one, zero, jnp.arange(len(x)))
    return jax.tree.map(lambda s: s / len(x), total)


LogProbabilities = Callable[[Params], jax.Array]


def _drawn(log_p: LogProbabilities, params: Params, key: jax.Array) -> Params:
    """The squared derivatives of a label's log-probability, which is drawn."""
    values, back = jax.vjp(log_p, params)
    label = jax.nn.one_hot(jax.random.categorical(key, values), len(values), dtype=values.dtype)
    return jax.tree.map(lambda g: jnp.square(wide(g)), back(label)[0])


def _expected(log_p: LogProbabilities, params: Params) -> Params:
    """Those of all labels, by their probabilities."""
    share = jnp.exp(log_p(params))
    return jax.tree.map(lambda g: jnp.tensordot(share, jnp.square(wide(g)), 1), jax.jacrev(log_p)(params))


def _term(w: jax.Array, learned: jax.Array, fisher: jax.Array) -> jax.Array:
    checks.same_shape("ewc_penalty", params=w, learned=learned, fisher=fisher)
    return jnp.sum(wide(fisher) * jnp.square(wide(w) - wide(learned)))
