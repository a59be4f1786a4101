"""What one member does, as pure functions: it begins, makes some updates, is measured.

    first_state(spec, stats, optimizer, ema, own) -> state            own: hyperparameters and a seed
    updated(loss, optimizer, options, shared, member, order, active) -> member, whether it stayed finite, metrics
    measured(loss, batches, member) -> metrics
    unread(begin, loss, optimizer, options, batch, values) -> names      the hyperparameters that nothing reads

Law: nothing is computed of who is not active, where members go one by one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.interpreters.partial_eval import dce_jaxpr

from jnn.metrics import adds_up, fold, of_nothing
from jnn.param import Params, Spec, init, path_key
from jnn.sweep._members import Members
from jnn.train import Batch, LossFn, Metrics, TrainState, create_state, make_eval, update

Optimizer = Callable[[Mapping[str, Any]], optax.GradientTransformation]


class Order(NamedTuple):
    """Which rows each member reads: `row` (members, steps, batch) int32, and their `weight`."""

    row: Any
    weight: Any


@jax.tree_util.register_pytree_node_class
class Named(dict[str, Any]):
    """Hyperparameters by name, as the optimizer and the loss read them: what is none of them is said to be none.

    >>> Named(rate=0.1)["decay"]
    Traceback (most recent call last):
    KeyError: "Sweep: the optimizer or the loss reads a hyperparameter 'decay'; the points, or the space, have rate."
    """

    def __missing__(self, name: str) -> Any:
        raise KeyError(
            f"Sweep: the optimizer or the loss reads a hyperparameter {name!r}; the points, or the space, have "
            f"{', '.join(sorted(self)) or 'none'}."
        )

    def tree_flatten(self) -> tuple[list[Any], tuple[str, ...]]:
        names = tuple(sorted(self))
        return [self[name] for name in names], names

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], values: Iterable[Any]) -> Named:
        return cls(zip(names, values, strict=True))


def noise_key(seed: Any) -> jax.Array:
    """The key of a member's noise."""
    return path_key(jax.random.key(seed), "noise")


def first_state(
    spec: Spec, stats: Spec, optimizer: Optimizer, ema: bool, own: tuple[dict[str, jax.Array], jax.Array]
) -> TrainState:
    """The state of a member before its first step, of its hyperparameters and its seed."""
    values, seed = own
    params = init(spec, path_key(jax.random.key(seed), "init"))
    running = None if stats is None else init(stats, jax.random.key(0))
    return create_state(params, optimizer(Named(values)), stats=running, ema=ema)


def updated(
    loss: LossFn,
    optimizer: Optimizer,
    options: Mapping[str, Any],
    shared: tuple[Batch, jax.Array],
    member: Members,
    order: Order,
    active: jax.Array,
) -> tuple[Members, jax.Array, Metrics]:
    """So many updates of one member, whether it is active still, and metrics of them all."""
    (data, count), state = shared, member.state
    values, key = Named(member.values), noise_key(member.seed)
    transform = optimizer(values)

    def one(state: TrainState, i: jax.Array) -> tuple[TrainState, Metrics]:
        batch = {name: x[order.row[i]] for name, x in data.items()} | {"weight": order.weight[i]}
        return update(loss, transform, state, batch, key, given=values, **options)

    nothing = _nothing(jax.eval_shape(one, state, jnp.int32(0))[1])

    def advance(i: jax.Array, carried: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
        state, metrics = one(carried[0], i)
        return state, {name: _combined(carried[1][name], metrics[name]) for name in nothing}

    def train() -> tuple[TrainState, jax.Array, Metrics]:
        new, metrics = jax.lax.fori_loop(0, count, advance, (state, nothing))
        fine = _finite(new.params) & _finite(metrics["loss"])
        return jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, state), fine, metrics

    state, fine, metrics = jax.lax.cond(active, train, lambda: (state, active, nothing))
    return dataclasses.replace(member, state=state, alive=member.alive & (fine | ~active)), fine, metrics


def measured(loss: LossFn, batches: Batch, member: Members) -> Metrics:
    """Metrics of one member over batches along a leading axis."""
    evaluate = make_eval(loss, given=Named(member.values))
    _, metrics = jax.lax.scan(lambda none, batch: (none, evaluate(member.state, batch)), None, batches)
    return {name: fold(metric) for name, metric in metrics.items()}


def unread(
    begin: Callable[[tuple[Any, Any]], TrainState],
    loss: LossFn,
    optimizer: Optimizer,
    options: Mapping[str, Any],
    batch: Any,
    values: Mapping[str, Any],
) -> list[str]:
    """Names of the hyperparameters that neither a member's updates nor its metrics depend on, by a trace.

    Args:
      begin: hyperparameters and a seed -> a state.
      loss, optimizer, options: as in `updated`.
      batch, values: their shapes.
    """

    def once(values: dict[str, jax.Array], batch: Batch, seed: jax.Array) -> Any:
        state, named = begin((values, seed)), Named(values)
        new = update(loss, optimizer(named), state, batch, noise_key(seed), given=named, **options)
        return state, new, make_eval(loss, given=named)(state, batch)

    jaxpr = jax.make_jaxpr(once)(dict(values), batch, jax.ShapeDtypeStruct((), jnp.uint32)).jaxpr
    _, used = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))  # of values first, by their names
    return [name for name, read in zip(sorted(values), used, strict=False) if not read]


def _nothing(shapes: Metrics) -> Metrics:
    """Metrics of no step."""
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return {name: of_nothing(metric) for name, metric in zeros.items()}


def _combined(older: Any, newer: Any) -> Any:
    return jax.tree.map(jnp.add, older, newer) if adds_up(older) else older.combine(newer)


def _finite(tree: Params) -> jax.Array:
    return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]).all()
