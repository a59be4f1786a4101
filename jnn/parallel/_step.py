"""The train step on a mesh: `make_step`, traced in a layout; its state, made where it lies.

    sharded_state(optimizer, key, layout) -> state          shard by shard: no device ever holds it whole
    put_state(state, layout) -> state                       one that exists, from other devices
    sharded_step(loss, optimizer, key, layout) -> step      step(state, batch) -> (state, metrics)
    compile_sharded(f, layout) -> step                      any such function: several updates in a row, a GAN's
    sharded_eval(loss, layout) -> evaluate                  evaluate(state, batch) -> metrics

Laws: values are those of one device, but for the order of sums; with `lanes` that order too is the same on any number
of devices. Whatever the optimizer keeps for a parameter lies as the parameter does. A batch may come from the host:
each process gives the rows of its own devices.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import optax
from jax.sharding import Mesh

from jnn.axes import use_layout
from jnn.parallel._batch import put_batch
from jnn.parallel._global_arrays import replicate, split_batch
from jnn.parallel._lanes import lane_sums
from jnn.parallel._layout import Layout
from jnn.parallel._serialize import serialize_cpu_programs
from jnn.parallel.layers._model_parallel import model_parallel
from jnn.param import Params, Spec, init
from jnn.program import Program
from jnn.train import (
    Batch,
    LossFn,
    Step,
    TrainState,
    check_loss,
    check_optimizer,
    check_options,
    compile_step,
    copy_buffers,
    create_state,
    make_eval,
    update,
)


def sharded_state(
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    layout: Layout,
    *,
    stats: Spec = None,
    ema: bool = False,
    memory: Callable[[Params], Any] | None = None,
) -> TrainState:
    """Sharded state: `create_state(init(spec, key), optimizer)`, each value drawn where the layout wants it.

    Args:
      optimizer: any Optax transformation.
      key: for the parameters, as in `jnn.init`.
      layout: from `jnn.parallel.layout`.
      stats: the spec of running statistics, where the model has them.
      ema: whether to keep an average of the params.
      memory: params -> what `remember` is to begin with.

    >>> import jnn
    >>> place = jnn.parallel.layout(jnn.layers.linear_spec(3, 8), "fsdp=1,data=-1")
    >>> sharded_state(optax.adam(1e-3), jax.random.key(0), place).opt_state[0].mu["w"].sharding.spec
    P('fsdp', None)
    """

    make = partial(drawn_state, layout.spec, optimizer, stats=stats, ema=ema, memory=memory)
    # asked of the whole program: what jit makes of `optimizer.init` alone would lie whole on every device
    return Program(make, "init", out_shardings=layout.like(jax.eval_shape(make, key)))(key)


def drawn_state(
    spec: Spec,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    stats: Spec,
    ema: bool,
    memory: Callable[[Params], Any] | None,
) -> TrainState:
    """The state of `sharded_state`, wherever it is traced."""
    running, params = None if stats is None else init(stats, key), init(spec, key)
    kept = None if memory is None else memory(params)
    return create_state(params, optimizer, stats=running, ema=ema, memory=kept)


def put_state(state: Any, layout: Layout) -> Any:
    """State from other devices, such as another mesh's, in buffers of its own: a step may donate either of them."""
    return jax.device_put(copy_buffers(state), layout.like(state))


def sharded_step(
    loss: LossFn,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    layout: Layout,
    *,
    lanes: int | None = None,
    steps_per_call: int = 1,
    whole_batches: bool = False,
    given: Any = None,
    **options: Any,
) -> Sharded:
    """Sharded train step: `make_step` on the devices of a layout, compiled once, the state's buffers donated.

    Args:
      loss, optimizer, key: as in `make_step`.
      layout: from `jnn.parallel.layout`.
      lanes: None, or how many parts of the batch have their gradients computed one by one and added in one order,
        so that results do not depend on the number of devices; see `lane_sums`.
      steps_per_call, given, options: those of `make_step`. `given` stays where it lies: `put_state(given, layout)`,
        with a layout of what is trained and what is given: `layout({"head": ..., "body": ...}, mesh)`.
      whole_batches: every process gives the whole batch, as `Batches` does, and not its own rows, as `SourceBatches`.

    Returns:
      `step(state, batch) -> (state, metrics)`, for `fit` as for a loop of one's own.

    Raises (beside those of `make_step`):
      ValueError: both `lanes` and `sums` are given; when the step is called, the devices that share the batch do not
        divide its rows, an activation does not divide, a rule is for an axis that the model does not name, or the
        state lacks a parameter of the layout.

    >>> import jnn
    >>> import numpy as np
    >>> def loss(params, batch, ctx):
    ...     return jnn.train.LossOutput(jnn.losses.squared_error(jnn.layers.linear(params, batch["x"]), batch["y"]))
    >>> place = jnn.parallel.layout(jnn.layers.linear_spec(3, 1), "data=-1")
    >>> state = sharded_state(optax.sgd(0.1), jax.random.key(0), place)
    >>> step = sharded_step(loss, optax.sgd(0.1), jax.random.key(1), place)
    >>> state, metrics = step(state, {"x": np.ones((8, 3), np.float32), "y": np.ones((8, 1), np.float32)})
    >>> int(state.step), metrics["loss"].weight.item()
    (1, 8.0)
    """
    check_loss("sharded_step", loss)
    check_optimizer("sharded_step", optimizer)
    check_options("sharded_step", options)
    if lanes is not None:
        if "sums" in options:
            raise ValueError("sharded_step: lanes and sums are two ways to add up gradients; give one of them.")
        options["sums"] = lane_sums(layout, lanes)
    one = lambda state, batch, **others: update(loss, optimizer, state, batch, key, **options, **others)
    how = {"steps_per_call": steps_per_call, "whole_batches": whole_batches, "given": given}
    return compile_sharded(one, layout, lanes=lanes is not None, **how)


def compile_sharded(
    f: Step,
    layout: Layout,
    *,
    steps_per_call: int = 1,
    whole_batches: bool = False,
    given: Any = None,
    lanes: bool = False,
) -> Sharded:
    """Sharded step of any kind, such as one of several updates: `jnn.train.compile_step` on the devices of a layout.

    Args:
      f: `f(state, batch) -> (state, metrics)`.
      layout: of all networks: for a state {"step": ..., "actor": TrainState, "critic": TrainState} that is
        `layout({"actor": actor_spec, "critic": critic_spec}, mesh)`.
      steps_per_call, whole_batches, given: as in `sharded_step`.
      lanes: whether f adds up by `lane_sums`: all of it is then computed whole on every device.
    """
    step = compile_step(f, steps_per_call=steps_per_call, given=given)

    def sharded(state: Any, batch: Batch, *more: Any) -> Any:
        layout.check_covers(state, *more)
        state = replicate(state, layout) if lanes else state
        with use_layout(layout), model_parallel(layout.mesh):
            state, metrics = step.part(state, batch, *more)
        layout.check_changes()
        state = replicate(state, layout) if lanes else state
        return _lie(state, layout.like(state)), replicate(metrics, layout)

    compiled = Program(sharded, "lanes" if lanes else "step", donate_argnums=(0,), given=given)
    put = partial(split_batch if whole_batches else put_batch, layout=layout, calls=steps_per_call)
    return Sharded(compiled, layout.mesh, put, steps_per_call)


def sharded_eval(
    loss: LossFn, layout: Layout, *, whole_batches: bool = False, given: Any = None, **options: Any
) -> Sharded:
    """Sharded evaluation: `make_eval` on the devices of a layout.

    Args:
      loss: as in training.
      layout: from `jnn.parallel.layout`.
      whole_batches: every process gives the whole batch, as `Batches` does, and not its own rows, as `SourceBatches`.
      given: other networks and frozen parts, where they lie.
      options: those of `jnn.train.make_eval`.
    """
    evaluate = make_eval(loss, given=given, **options)

    def sharded(state: Any, batch: Batch, *more: Any) -> Any:
        with use_layout(layout), model_parallel(layout.mesh):
            metrics = evaluate.part(state, batch, *more)
        layout.check_changes()
        return replicate(metrics, layout)

    put = partial(split_batch if whole_batches else put_batch, layout=layout)
    return Sharded(Program(sharded, "step", given=given), layout.mesh, put)


class Sharded:
    """A program whose batches are put where its layout wants them: by `put`, which others may call as well."""

    def __init__(self, program: Any, mesh: Mesh, put: Callable[[Batch], Batch], steps_per_call: int = 1) -> None:
        self._program, self._mesh, self.put = program, mesh, put
        self.steps_per_call = steps_per_call

    def __call__(self, state: TrainState, batch: Batch) -> Any:
        return serialize_cpu_programs(self._program(state, self.put(batch)), len(self._mesh.local_devices))

    def trace(self, state: TrainState, batch: Batch) -> jax.stages.Traced:
        """As a jitted function's, as `lower`: what `jnn.inspect` reads."""
        return self._program.trace(state, batch)

    def lower(self, state: TrainState, batch: Batch) -> jax.stages.Lowered:
        """As a jitted function's: of arrays, or of `jax.ShapeDtypeStruct`s with shardings."""
        return self._program.lower(state, batch)


def _lie(tree: Any, shardings: Any) -> Any:
    return jax.tree.map(jax.lax.with_sharding_constraint, tree, shardings)
