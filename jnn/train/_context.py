"""What a loss function is given, and what it returns: the seam between a researcher's code and the step.

    loss(params, batch, ctx) -> LossOutput

`params` is what is differentiated, `batch` is data, `ctx` everything else that it may read. It reduces nothing: one
number for each example (or token) comes back, with its weight.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn.param import Param, Params, flatten

Batch = dict[str, Any]
Metrics = dict[str, Any]
NOTHING: dict[str, Any] = {}  # read-only, as all memory is


class Context(NamedTuple):
    """Context of a loss: what it may read beside params and batch.

    Attributes:
      key: for noise that regularizes, such as dropout; None in evaluation, where there is none.
      draw: for what the objective itself samples (times, noise, negatives); a key in evaluation, too.
      step: int32, the number of updates so far.
      stats: None in training: normalize by the batch's own statistics. In evaluation the running ones; None without.
      memory: what is remembered between updates, read-only here; {} if nothing is.
      ema: the average of the params, or None.
      given: other networks and frozen parts: not differentiated, but cast as params are; None without.
    """

    key: jax.Array | None
    draw: jax.Array
    step: jax.Array
    stats: Any = None
    memory: Any = NOTHING
    ema: Params | None = None
    given: Any = None

    def fold(self, i: jax.Array | int) -> Context:
        """The context of part i of a batch, with noise and draws of its own."""
        key = None if self.key is None else jax.random.fold_in(self.key, i)
        return self._replace(key=key, draw=jax.random.fold_in(self.draw, i))


class _Fields(NamedTuple):
    values: jax.Array
    weights: jax.Array | None
    penalty: jax.Array | float
    metrics: Metrics
    stats: Any
    rows: Any


class LossOutput(_Fields):
    """Loss output: what a loss function returns.

    Attributes:
      values: one per example or token, any shape whose first axis is the examples'.
      weights: the same shape (or that of the leading axes); None means those of batch["weight"], where there is one, or
        1 each. They are data, 0 or more, for their sum divides (an advantage, which may be negative, is a factor of the
        values). What depends on params is refused, unless under `jax.lax.stop_gradient`.
      penalty: a scalar added once to the mean of the values, such as `jnn.losses.l2`.
      metrics: name -> a metric from `jnn.metrics`.
      stats: the part's own statistics, in nested dicts as evaluation will get them back averaged. Each counts by the
        "count" beside it, as `batch_norm` returns it; without one by the rows of the part whose weight is not 0.
      rows: results for each row of the batch, handed to `remember` in the batch's order: keys of a queue, carries.
    """

    __slots__ = ()

    def __new__(
        cls,
        values: jax.Array,
        weights: jax.Array | None = None,
        penalty: jax.Array | float = 0.0,
        metrics: Metrics | None = None,
        stats: Any = None,
        rows: Any = None,
    ) -> LossOutput:
        """Dicts that are not given are new ones: whoever adds to them adds to no other's."""
        given = ({} if tree is None else tree for tree in (metrics, stats, rows))
        return super().__new__(cls, values, weights, penalty, *given)


LossFn = Callable[[Params, Batch, Context], LossOutput]


def check_loss(where: str, loss: Any) -> None:
    """Raises TypeError unless the loss can be called as loss(params, batch, ctx)."""
    if not callable(loss):
        raise TypeError(f"{where}: expected a function loss(params, batch, ctx), found {type(loss).__name__}.")
    try:
        signature = inspect.signature(loss)
        signature.bind(None, None, None)
    except TypeError:
        raise TypeError(
            f"{where}: the loss is called as loss(params, batch, ctx), found {signature}. Keys, statistics and what is "
            "remembered are in ctx: ctx.key, ctx.draw, ctx.step, ctx.stats, ctx.memory, ctx.ema, ctx.given."
        ) from None
    except ValueError:  # a callable without a signature
        return


def check_optimizer(where: str, optimizer: Any) -> None:
    """Raises TypeError for what is no Optax transformation."""
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(
            f"{where}: expected an Optax transformation, found a {type(optimizer).__name__}. Give, say, "
            "optax.adam(1e-3)."
        )


def check_params(where: str, params: Params) -> None:
    """Raises TypeError for leaves that cannot be differentiated."""
    for path, leaf in flatten(params).items():
        if isinstance(leaf, Param) or not hasattr(leaf, "dtype"):
            raise TypeError(
                f"{where}: params/{path} is a {type(leaf).__name__}, expected an array. A spec becomes arrays by "
                "jnn.init(spec, key)."
            )
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise TypeError(
                f"{where}: params/{path} is {leaf.dtype}, which has no gradient. Keep what is not trained apart, and "
                "give it as given=..., to be read as ctx.given."
            )


def check_output(out: Any, batch: Batch) -> None:
    """Raises unless a loss returned a LossOutput with one value per example (or token)."""
    if not isinstance(out, LossOutput):
        raise TypeError(
            f"train step: the loss returned {_found(out)}, expected jnn.train.LossOutput(values): a value per example."
        )
    examples = jax.tree.leaves(batch)[0].shape[0]
    for name, x in (("values", out.values), ("penalty", out.penalty)):
        if isinstance(x, list | tuple) or jnp.issubdtype(jnp.result_type(x), jnp.complexfloating):
            raise TypeError(f"train step: the loss's {name} must be real numbers in an array, found {_found(x)}.")
    if jnp.ndim(out.values) == 0 or out.values.shape[0] % examples:
        raise ValueError(
            f"train step: the loss must return one value per example (or token), for {examples} examples; found "
            f"shape {jnp.shape(out.values)}. Reduce nothing over examples: the step does, once."
        )
    if out.weights is not None and jnp.shape(out.weights) != jnp.shape(out.values)[: jnp.ndim(out.weights)]:
        raise ValueError(
            f"train step: the loss's weights have shape {jnp.shape(out.weights)}, expected that of its values "
            f"{jnp.shape(out.values)} or of their leading axes. Say, weights[:, 0], or weights.repeat for tokens."
        )
    if jnp.shape(out.penalty) != ():
        raise ValueError(f"train step: a penalty is one number, found shape {jnp.shape(out.penalty)}. Add it up.")
    for path, leaf in flatten(out.rows).items():
        if jnp.shape(leaf)[:1] != (examples,):
            raise ValueError(
                f"train step: rows/{path} has shape {jnp.shape(leaf)}, expected ({examples}, ...): one result for "
                "each row of the batch."
            )


def _found(out: Any) -> str:
    if isinstance(out, tuple):
        return f"a tuple of {len(out)}"
    return f"{out.dtype}{list(out.shape)}" if hasattr(out, "dtype") else f"a {type(out).__name__}"
