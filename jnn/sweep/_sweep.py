"""What the members of a sweep share, and what is done with them: begun, trained, evaluated, taken out.

    sweep = Sweep(spec, loss, optimizer, arrays, batch_size=32)
    sweep.begin(points, seeds) -> members
    sweep.train(members, steps) -> (members, metrics)
    sweep.evaluate(members, arrays) -> metrics
    sweep.unread(point) -> names
    sweep.alone(members, i) -> (step, state, batches)

Laws: a member trains as `alone` does; k steps and then m are k + m steps, bit for bit; a member whose parameters or
loss stop being finite stays as it was before the last 64 steps of a call, is no longer alive, and changes no other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import backend, checks
from jnn.data import Batches, in_order
from jnn.metrics import merge
from jnn.param import Spec, check_spec
from jnn.program import Program
from jnn.sweep._members import Members, check_points, column, packed
from jnn.sweep._over import mesh_of, over_members, put
from jnn.sweep._programs import Named, Optimizer, Order, first_state, measured, noise_key, unread, updated
from jnn.train import LossFn, Metrics, Step, TrainState, check_loss, check_options, make_step

AT_ONCE, EVALUATED = 64, 1000  # steps of a call, and rows of a batch that is evaluated
FEW = 8  # members of a bucket at least, where those who only fill it up cost next to nothing


class Sweep:
    """Sweep: training runs of one shape, that differ in hyperparameters, seeds and the order of examples.

    Args:
      spec: of the parameters.
      loss: `loss(params, batch, ctx) -> LossOutput`; it reads a member's hyperparameters as `ctx.given`.
      optimizer: hyperparameters by name -> an Optax transformation, such as `lambda h: optax.adam(h["rate"])`. They are
        scalars of JAX: what Optax wants as a number of Python, such as the steps of a warm-up, is none of them.
      arrays: name -> (n, ...), what is trained on: one copy for all, on the device.
      batch_size: rows of a batch.
      stats: the spec of running statistics, where the network has them.
      devices: a power of two of them, that share the members out; None for one.
      block: how many members go side by side where they go one after another, as on a CPU; a power of two.
      options: of `jnn.train.update`, such as `clip_norm`.

    Raises:
      TypeError: spec is none, such as params; the loss or the optimizer cannot be called as said, or an option is
        unknown.
      ValueError: what `Batches` refuses of the arrays; the number of devices, or the block, is no power of two.

    >>> import optax
    >>> from jnn.layers import linear, linear_spec
    >>> from jnn.train import LossOutput
    >>> def loss(params, batch, ctx):
    ...     error = linear(params, batch["x"]) - batch["y"]
    ...     return LossOutput((error**2).sum(-1), batch["weight"], ctx.given["decay"] * (params["w"] ** 2).sum())
    >>> x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    >>> sweep = Sweep(linear_spec(3, 1), loss, lambda h: optax.sgd(h["rate"]), {"x": x, "y": x[:, :1]}, batch_size=8)
    >>> members = sweep.begin([{"rate": rate, "decay": 0.0} for rate in (0.001, 0.1, 1e9)])
    >>> members, metrics = sweep.train(members, 40)
    >>> members.alive.tolist(), (metrics["loss"][1] < metrics["loss"][0]).item()
    ([True, True, False], True)
    """

    def __init__(
        self,
        spec: Spec,
        loss: LossFn,
        optimizer: Optimizer,
        arrays: Mapping[str, Any],
        batch_size: int,
        *,
        stats: Spec = None,
        devices: Sequence[jax.Device] | None = None,
        block: int | None = None,
        **options: Any,
    ) -> None:
        _check(loss, optimizer, block, options)
        check_spec("Sweep", spec)
        self.spec, self.loss, self.optimizer, self.stats = spec, loss, optimizer, stats
        rows = Batches(arrays, batch_size, seed=0)  # which checks them
        self.arrays, self.batch_size, self.block = dict(arrays), batch_size, block
        self.mesh, self._options = mesh_of(devices), options
        self._numbers = {"row": np.arange(rows.rows, dtype=np.int32), "weight": rows.arrays["weight"]}
        self._data = put({name: x for name, x in rows.arrays.items() if name != "weight"}, self.mesh, split=False)
        self._order = functools.lru_cache(1024)(lambda seed: Batches(self._numbers, batch_size, seed=seed))
        begin = functools.partial(first_state, spec, stats, optimizer, options.get("ema_decay") is not None)
        self._begin = Program(self._over(lambda shared, own: begin(own)), "init")
        self._unread = functools.cache(
            lambda shapes: unread(begin, loss, optimizer, options, self._one_batch(), dict(shapes))
        )
        train = functools.partial(updated, loss, optimizer, options)
        self._train = Program(self._over(train), "step", donate_argnums=(1,))
        self._evaluate = Program(self._over(functools.partial(measured, loss)), "step")

    def begin(self, points: Sequence[Mapping[str, Any]], seeds: Sequence[int] | None = None) -> Members:
        """Members before their first step.

        Args:
          points: the hyperparameters of each, by the same names: numbers, or arrays of one shape, such as masks.
          seeds: of each; 0, 1, 2, ... by default. Members of one seed begin alike and read the same batches.

        Returns:
          As many members, on the host.

        Raises:
          ValueError: there are no points, they have other names than the first, or not as many seeds.
        """
        seeds = list(range(len(points))) if seeds is None else list(seeds)
        check_points(points, seeds)
        values = {name: column(name, [point[name] for point in points]) for name in sorted(points[0])}
        seed = np.array(seeds, np.uint32)
        rows = self._packed(len(points))
        own = jax.tree.map(lambda x: x[rows], (values, seed))
        state = self._begin(None, put(own, self.mesh, split=True))
        members = Members(state, own[0], own[1], np.ones(len(rows), bool))
        return members.take(np.arange(len(points)))

    def train(self, members: Members, steps: int) -> tuple[Members, dict[str, np.ndarray]]:
        """Trains all members that are alive by so many steps of their own.

        Args:
          members: of this sweep, any number of them.
          steps: of each, behind those that it has made.

        Returns:
          The members, and the metrics of these steps by name, (members, ...): "loss" and the loss's own; NaN of who is
          not alive.
        """
        checks.count("Sweep.train", "steps", steps)
        n, rows = len(members), self._packed(len(members))
        active = np.asarray(members.alive)[rows] & (np.arange(len(rows)) < n)
        packed_members, active = put((members.take(rows), active), self.mesh, split=True)
        at, found = np.asarray(members.state.step)[rows], []
        for done in range(0, steps, AT_ONCE):
            count = min(AT_ONCE, steps - done)
            order = put(self._rows(np.asarray(members.seed)[rows], at + done), self.mesh, split=True)
            shared = (self._data, put(np.int32(count), self.mesh, split=False))
            packed_members, active, metrics = self._train(shared, packed_members, order, active)
            found.append(metrics)  # read at the end: meanwhile the next rows are looked up
        members = packed_members.take(np.arange(n))
        return members, _values(merge(*jax.device_get(found)), n, members.alive)

    def evaluate(self, members: Members, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Metrics of each member on all rows of some arrays: no noise, and no update.

        Args:
          members: of this sweep, any number of them.
          arrays: name -> (n, ...), as those that are trained on.

        Returns:
          "loss" and the loss's own metrics by name, (members, ...); NaN of who is not alive.
        """
        metrics = self._evaluate(*self._measured(members, arrays))
        return _values(merge(jax.device_get(metrics)), len(members), members.alive)

    def metric_names(self, members: Members, arrays: Mapping[str, Any]) -> list[str]:
        """The names that `evaluate` has for the same arguments; nothing is computed."""
        return sorted(self._evaluate.trace(*self._measured(members, arrays)).out_info)

    def unread(self, point: Mapping[str, Any]) -> list[str]:
        """Names of hyperparameters that neither the loss, nor the optimizer, nor its schedule reads, by a trace.

        Args:
          point: hyperparameters by name, of which the shapes alone matter.

        >>> import optax
        >>> from jnn.layers import linear, linear_spec
        >>> from jnn.train import LossOutput
        >>> loss = lambda params, batch, ctx: LossOutput(linear(params, batch["x"])[:, 0])
        >>> x = np.ones((8, 3), np.float32)
        >>> sweep = Sweep(linear_spec(3, 1), loss, lambda h: optax.sgd(h["rate"]), {"x": x}, batch_size=4)
        >>> sweep.unread({"rate": 0.1, "decay": 0.01})
        ['decay']
        """
        shaped = lambda x: jax.ShapeDtypeStruct(np.shape(x), jnp.result_type(float))
        return self._unread(tuple((name, shaped(point[name])) for name in sorted(point)))

    def alone(self, members: Members, i: int) -> tuple[Step, TrainState, Batches]:
        """A member as an ordinary run: a step, its state and its batches, for `jnn.train.fit` or by hand.

        >>> import jnn, optax
        >>> from jnn.train import LossOutput, fit
        >>> loss = lambda params, batch, ctx: LossOutput(params["w"] * batch["x"])
        >>> spec, sgd = {"w": jnn.Param((), jnn.initializers.ones, ())}, lambda h: optax.sgd(h["rate"])
        >>> sweep = Sweep(spec, loss, sgd, {"x": np.ones(8, np.float32)}, 4)
        >>> step, state, batches = sweep.alone(sweep.begin([{"rate": 0.125}, {"rate": 0.25}]), 1)
        >>> fit(step, state, batches, steps=2, every=2)[0].params["w"].item()
        0.5
        """
        own = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[i]), members)
        seed = int(own.seed)
        values = Named(own.values)
        step = make_step(self.loss, self.optimizer(values), noise_key(seed), given=values, **self._options)
        return step, own.state, Batches(self.arrays, self.batch_size, seed=seed)

    def _measured(self, members: Members, arrays: Mapping[str, Any]) -> tuple[Any, Any]:
        """What is evaluated: batches, one for all, and members."""
        batches = in_order(arrays, min(EVALUATED, len(next(iter(arrays.values())))))
        stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
        packed_members = members.take(self._packed(len(members)))
        return put(stacked, self.mesh, split=False), put(packed_members, self.mesh, split=True)

    def _packed(self, n: int) -> np.ndarray:
        """The rows of n members in a program."""
        one_by_one = backend.TABLE["members"].on(backend.platform()) == "one_by_one"
        least = (self.mesh.size if self.mesh else 1) * (self.block or 1)
        return packed(n, max(least, FEW) if one_by_one else least)

    def _one_batch(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes of what one update reads."""
        arrays = self._data | {"weight": self._numbers["weight"]}
        return {name: jax.ShapeDtypeStruct((self.batch_size, *x.shape[1:]), x.dtype) for name, x in arrays.items()}

    def _over(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """A function of what is shared and of one member's parts, over all of them."""

        def over(shared: Any, *parts: Any) -> Any:
            own = lambda shared, parts: f(shared, *parts)
            return over_members(own, shared, parts, mesh=self.mesh, block=self.block)

        return over

    def _rows(self, seeds: np.ndarray, at: np.ndarray) -> Order:
        """The next rows of each member, as its own `Batches` has them."""
        stacks = [self._order(int(seed)).stack(int(step), AT_ONCE) for seed, step in zip(seeds, at, strict=True)]
        return Order(*(np.stack([stack[name] for stack in stacks]) for name in ("row", "weight")))


def _check(loss: Any, optimizer: Any, block: int | None, options: dict[str, Any]) -> None:
    check_loss("Sweep", loss)
    check_options("Sweep", options)
    if not callable(optimizer):
        raise TypeError(
            f"Sweep: expected a function of hyperparameters, found a {type(optimizer).__name__}. Write "
            'lambda h: optax.adam(h["learning_rate"]).'
        )
    if taken := {"given", "remember"} & options.keys():
        raise TypeError(
            f"Sweep: {', '.join(sorted(taken))} cannot be said here: ctx.given are a member's hyperparameters, and "
            "nothing is remembered. Let the loss be a function that knows what else it reads."
        )
    if block is not None and (block < 1 or block & (block - 1)):
        raise ValueError(f"Sweep: expected a block that is a power of two, found {block}.")


def _values(metrics: Metrics, n: int, alive: Any) -> dict[str, np.ndarray]:
    """What metrics say of each of n members; NaN of who is not alive."""
    found = {name: np.asarray(metric.value(), np.float64)[:n] for name, metric in metrics.items()}
    dead = ~np.asarray(alive)
    return {name: np.where(dead.reshape(-1, *(1,) * (x.ndim - 1)), np.nan, x) for name, x in found.items()}
