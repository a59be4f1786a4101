"""The real train step, compiled for devices that need not be there.

    TrainingJob(spec, loss, optimizer, batch, ...)      what is to be trained, and by what step
    UpdatesJob(spec, updates, begin, batch, ...)        the same of a step of several updates
    prepare(job, layout) -> Prepared                    its state and batch, as shapes that lie somewhere
    compile_for(prepared, topology) -> Compiled         the program, or what stood in its way

Laws: the step is `sharded_step`'s, optimizer, donation and metrics included; no array is made, of the state or of
anything else. Formulations are chosen for the topology's platform.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import jax
import optax

from jnn import checks
from jnn.axes import use_layout
from jnn.backend import recording, target
from jnn.inspect import Flops, flops, own_source_lines
from jnn.overrides import override
from jnn.parallel import (
    Layout,
    Sharded,
    check_rows,
    compile_sharded,
    devices_along,
    drawn_state,
    lane_sums,
    sharded_step,
)
from jnn.parallel.layers import model_parallel
from jnn.param import Params, Spec, is_key
from jnn.preflight._chips import GIB
from jnn.preflight._hopper import OPTIONS as CUDA_OPTIONS
from jnn.preflight._topology import Topology
from jnn.program import Program, compiled
from jnn.train import Batch, LossFn, Metrics, TrainState, compile_step, make_step

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": GIB, "T": 2**40}


class Job(abc.ABC):
    """What is trained, by what step: what a pre-flight asks of it."""

    spec: Spec
    batch: Batch
    lanes: int | None
    options: dict[str, Any]

    @abc.abstractmethod
    def drawn(self, spec: Spec, key: jax.Array) -> Any:
        """The state at first, of a spec that a layout may have cut otherwise."""

    @abc.abstractmethod
    def of(self, batch: Batch) -> Self:
        """The same job of another batch."""

    @abc.abstractmethod
    def step(self) -> Program:
        """The step on one device."""

    @abc.abstractmethod
    def sharded(self, layout: Layout) -> Sharded:
        """The step on those of a layout."""

    @property
    def microbatches(self) -> int:
        """Parts that a batch's gradient is computed in."""
        return int(self.options.get("microbatches", 1))

    @property
    def rows(self) -> int:
        """Examples of one step."""
        return int(jax.tree.leaves(self.batch)[0].shape[0])

    @property
    def tokens(self) -> int | None:
        """Tokens of one step: what `batch["x"]` holds, if that is rows of integers."""
        x = self.batch.get("x")
        if x is None or len(x.shape) != 2 or not jax.numpy.issubdtype(x.dtype, jax.numpy.integer):
            return None
        return math.prod(x.shape)


@dataclasses.dataclass(frozen=True)
class TrainingJob(Job):
    """Training job: what is trained, and by what step.

    Args:
      spec, loss, optimizer: as in `jnn.parallel.sharded_step`.
      batch: one step's, whole: arrays or `jax.ShapeDtypeStruct`s.
      stats: the spec of running statistics, where the model has them.
      ema: whether the state holds an average of the params; the step's options then have `ema_decay`.
      memory: as in `jnn.parallel.sharded_state`.
      lanes: as in `jnn.parallel.sharded_step`.
      options: of `jnn.train.make_step`, such as `compute_dtype`, `microbatches`, `clip_norm`.
    """

    spec: Spec
    loss: LossFn
    optimizer: optax.GradientTransformation
    batch: Batch
    stats: Spec = None
    ema: bool = False
    memory: Callable[[Params], Any] | None = None
    lanes: int | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    def drawn(self, spec: Spec, key: jax.Array) -> TrainState:
        return drawn_state(spec, self.optimizer, key, stats=self.stats, ema=self.ema, memory=self.memory)

    def of(self, batch: Batch) -> Self:
        return dataclasses.replace(self, batch=batch)

    def step(self) -> Program:
        return make_step(self.loss, self.optimizer, jax.random.key(0), **self.options)

    def sharded(self, layout: Layout) -> Sharded:
        key = jax.random.key(0)  # of no consequence: nothing is drawn
        return sharded_step(self.loss, self.optimizer, key, layout, lanes=self.lanes, **self.options)


@dataclasses.dataclass(frozen=True)
class UpdatesJob(Job):
    """Training job of several updates, such as a GAN's: what is trained, and by what step.

    Args:
      spec: of all networks, by the fields of the state, as in `jnn.parallel.compile_sharded`.
      updates: `(state, batch) -> (state, metrics)`; with lanes, `sums=` comes beside them for each `update`.
      begin: a key -> the state at first.
      batch, lanes: as in `TrainingJob`.
    """

    spec: Spec
    updates: Callable[..., tuple[Any, Metrics]]
    begin: Callable[[jax.Array], Any]
    batch: Batch
    lanes: int | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict, init=False)

    def drawn(self, spec: Spec, key: jax.Array) -> Any:
        return self.begin(key)

    def of(self, batch: Batch) -> Self:
        return dataclasses.replace(self, batch=batch)

    def step(self) -> Program:
        return compile_step(self.updates)

    def sharded(self, layout: Layout, *, whole_batches: bool = False) -> Sharded:
        one = self.updates if self.lanes is None else partial(self.updates, sums=lane_sums(layout, self.lanes))
        return compile_sharded(one, layout, lanes=self.lanes is not None, whole_batches=whole_batches)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A job on a layout: everything but the program."""

    job: Job
    layout: Layout
    state: Any  # of jax.ShapeDtypeStructs with shardings
    batch: Batch

    @property
    def state_bytes(self) -> int:
        """Of the whole state."""
        return sum(leaf.size * leaf.dtype.itemsize for leaf in _arrays(self.state))

    @property
    def device_bytes(self) -> int:
        """Of the state and the batch, on each device: no program needs less."""
        local = lambda leaf: math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        return sum(map(local, _arrays((self.state, self.batch))))


@dataclasses.dataclass(frozen=True)
class TooLarge:
    """What a compiler says that finds no room."""

    needed: int | None  # bytes, where it says how many: of the whole program, or of its temporaries alone
    message: str


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A prepared job's program, or why there is none."""

    prepared: Prepared
    flops: Flops  # of all devices together
    refused: tuple[str, ...]  # kernels of the platform that could not run, and why
    program: jax.stages.Compiled | None
    problem: TooLarge | None

    @functools.cached_property
    def text(self) -> str:
        """The program's, asked for once: it is long, and takes long to write."""
        return "" if self.program is None else self.program.as_text() or ""


def prepare(job: Job, layout: Layout) -> Prepared:
    """The shapes of a job's state and batch, where a layout wants them.

    Raises:
      ValueError: the devices that share the batch do not divide it, or the lanes cannot be shared or do not divide it.
    """
    check_shares("preflight", job.batch, layout, job.lanes, job.microbatches)
    shapes = jax.eval_shape(partial(job.drawn, layout.spec), jax.random.key(0))
    placed = lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where)
    batch = jax.tree.map(lambda x: placed(x, layout.batch()), job.batch)
    return Prepared(job, layout, jax.tree.map(placed, shapes, layout.like(shapes)), batch)


def check_shares(where: str, batch: Batch, layout: Layout, lanes: int | None, microbatches: int = 1) -> None:
    """Raises ValueError unless a layout's devices, and the lanes and their micro-batches, can share a batch's rows."""
    check_rows(where, batch, devices_along(layout.mesh, layout.named["batch"]))
    if lanes is None:
        return
    lane_sums(layout, lanes)  # which refuses lanes that devices cannot share
    checks.divides(where, jax.tree.leaves(batch)[0].shape[0], lanes=lanes, micro_batches=microbatches)


def compile_for(prepared: Prepared, topology: Topology) -> Compiled:
    """Counts and compiles the step; a program that finds no room is a result, not an error."""
    job = prepared.job
    options = CUDA_OPTIONS if topology.chip.platform == "cuda" else None
    with target(topology.chip.platform, topology.chip.name if topology.chip.platform == "tpu" else ""):
        # stages with the ticks in which they are idle; attention and experts as they are written: their true work
        with (
            use_layout(prepared.layout),
            model_parallel(prepared.layout.mesh),
            override(dot_product_attention=None, experts=None),
        ):
            counted = flops(job.step(), prepared.state, prepared.batch)
        step = job.sharded(prepared.layout)
        program, problem = None, None
        try:
            with recording() as chosen, own_source_lines():
                program = compiled(lambda: step.lower(prepared.state, prepared.batch), options)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            problem = read_exhausted(str(error))
    refused = tuple(dict.fromkeys(f"{choice}; {choice.why}" for choice in chosen if choice.refused))
    return Compiled(prepared, counted, refused, program, problem)


def read_exhausted(message: str) -> TooLarge:
    """What XLA says of memory that it does not have.

    >>> read_exhausted("RESOURCE_EXHAUSTED: Used 33.84G of 15.75G hbm. Exceeded hbm capacity by 18.09G.").needed
    36335423324
    """
    found = re.search(r"Used ([\d.]+)([KMGT]?) of|\(([\d.]+)([KMGT]?)\) exceeds", message)
    needed = None if found is None else int(float(found[1] or found[3]) * _UNITS[found[2] or found[4]])
    return TooLarge(needed, message.splitlines()[0])


def _arrays(tree: Any) -> list[jax.ShapeDtypeStruct]:
    return [leaf for leaf in jax.tree.leaves(tree) if not is_key(leaf)]
