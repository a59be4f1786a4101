"""The inner loop of meta-learning: descent on one task's loss, which the outer loss is differentiated through."""

from __future__ import annotations

from collections.abc import Callable

import jax

from jnn.param import Params


def inner_loop(
    loss: Callable[[Params], jax.Array], params: Params, *, steps: int, learning_rate: float | jax.Array
) -> Params:
    """Inner loop of model-agnostic meta-learning (MAML): steps of gradient descent that can be differentiated through.

    See "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", Finn, Abbeel and Levine, 2017. Within the
    loss of a step, of a task's support, it gives the params that the task's queries are asked of; what is learned is
    where it begins.

    Args:
      loss: params -> a number, of one task.
      params: where it begins.
      steps: of descent, 0 or more; each is traced, so few.
      learning_rate: of each step.

    Returns:
      Params adapted to the task, each in its dtype.

    Raises:
      TypeError: the loss is not one number.
      ValueError: a negative number of steps.

    >>> import jax.numpy as jnp
    >>> half = lambda p: jnp.sum(jnp.square(p["w"] - 4.0)) / 2
    >>> inner_loop(half, {"w": jnp.zeros(1)}, steps=2, learning_rate=0.5)["w"].tolist()
    [3.0]
    """
    if steps < 0:
        raise ValueError(f"inner_loop: expected steps of descent, 0 or more, found {steps}.")
    for _ in range(steps):
        gradients = jax.grad(loss)(params)
        params = jax.tree.map(lambda w, g: (w - learning_rate * g).astype(w.dtype), params, gradients)
    return params
