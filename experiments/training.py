"""Training as the experiments do it: what `jnn.train.fit` needs, from an experiment's options.

    train(config, spec, loss, optimizer, batches, every=..., validation=...) -> (state, history)
    train_networks(config, spec, updates, begin, batches, every=...)            of several networks, each an update
    evaluate(loss, state, batches) -> metrics
    named(history, name) -> history                                             beside those of others

With `--replay CAPSULE` the step that a run wrote down is made again in place of training, and the process exits.

The same call trains on one device, on several, and in several processes: `--mesh` says how, and models know nothing
of it. What comes back lies on this process's first device, whatever it was trained on.
"""

from __future__ import annotations

import contextlib
import functools
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import optax

import jnn
from experiments.flight import look
from experiments.options import settings
from jnn import parallel
from jnn.files import write_whole
from jnn.inspect import flops, kernels
from jnn.parallel import serialize_cpu_programs
from jnn.param import Params, Spec
from jnn.preflight import TrainingJob, UpdatesJob, check_shares
from jnn.program import Program
from jnn.terminal import Terminal, say
from jnn.train import (
    Batch,
    Checkpoints,
    Evaluation,
    History,
    Ledger,
    LossFn,
    LossOutput,
    Metrics,
    Recovery,
    StepBatches,
    TrainState,
    create_state,
    evaluate_on,
    fit,
    make_eval,
    make_step,
    read_capsule,
    replay,
)
from jnn.train.log import peak_flops
from jnn.train.log.progress import Log, ProgressLog, together
from jnn.train.log.tensorboard import TensorBoardLog

evaluator = functools.lru_cache(8)(make_eval)  # validation and test are one program


def first() -> bool:
    """Whether this process is the one of its job that writes and prints."""
    return jax.process_index() == 0


def train(
    config: Any,
    spec: Any,
    loss: LossFn,
    optimizer: optax.GradientTransformation,
    batches: StepBatches,
    *,
    every: int,
    validation: Sequence[Batch] = (),
    steps_per_call: int = 1,
    name: str = "",
    losses: Mapping[str, LossFn] | None = None,
    start: Params | None = None,
    stats: Spec = None,
    memory: Callable[[Params], Any] | None = None,
    **options: Any,
) -> tuple[TrainState, History]:
    """`fit` for `config.steps`, with checkpoints, ledger, capsules and logs in the run's folder.

    Args:
      config: has the fields of `Common`; the key is its seed's, folded with the name.
      spec: of the parameters.
      loss, optimizer, options: as `make_step` takes them.
      batches: whole ones, whatever the number of processes.
      every: updates between two rows of the history, brought to a multiple of those of a call; where the run has fewer,
        as a shortened one has, half of its steps.
      validation: batches that a row's validation is measured on; none for none.
      steps_per_call: as in `make_step`.
      name: of a folder below the run's, where an experiment trains several networks.
      losses: the same loss by what it remembers for its gradient, for `--preflight.search` to choose among.
      start: the first parameters, where another training has made them; drawn by default.
      stats: the spec of running statistics, where the network has them.
      memory: the first parameters -> what `remember` is to begin with.

    With `config.preflight.machine` nothing is trained, nor written: the report on this step is printed, and the process
    exits.
    With `config.replay` neither, once it is the run of the capsule's name; of one before it the initial state and no
    history come back, so that a run's step may not need what another has learned.

    Raises (before anything is written):
      ValueError: the steps are no multiple of those of a call, the mesh's devices or the lanes do not divide the
        batch, or the devices a parameter; beside what `fit` raises.
    """
    if config.preflight.machine is not None:
        rows = _whole(config, batches)
        job = TrainingJob(spec, loss, optimizer, rows, stats=stats, memory=memory, lanes=config.lanes, options=options)
        sys.exit(look(config, job, batches, losses))
    if config.steps % steps_per_call:
        raise ValueError(f"train: --steps is a positive multiple of {steps_per_call}, found {config.steps}.")
    key = jnn.path_key(jax.random.key(config.seed), name)
    keys = {"init": jnn.path_key(key, "init"), "noise": jnn.path_key(key, "noise")}
    place = _layout(config, spec, batches, options.get("microbatches", 1))
    make = _on_one_device if place is None else functools.partial(_on_a_mesh, layout=place)
    begin = {"start": start, "stats": stats, "memory": memory}
    step, state = make(config, spec, loss, optimizer, keys, **begin, steps_per_call=steps_per_call, **options)
    measure = (lambda state: evaluate(loss, state, validation)) if validation else None
    return _fit(config, step, state, batches, measure, every=every, calls=steps_per_call, name=name)


def train_networks(
    config: Any,
    spec: Mapping[str, Any],
    updates: Callable[..., tuple[Any, Metrics]],
    begin: Callable[[jax.Array], Any],
    batches: StepBatches,
    *,
    every: int,
    name: str = "",
) -> tuple[Any, History]:
    """`train` for several networks, each with a state and an optimizer of its own.

    Args:
      config, batches, every, name: as in `train`.
      spec: of the parameters, by the fields of the state.
      updates: `(state, batch, **how) -> (state, metrics)`, with how for each `update`; the state has a "step".
      begin: a key -> the state at first.
    """
    job = UpdatesJob(spec, updates, begin, _whole(config, batches), lanes=config.lanes)
    if config.preflight.machine is not None:
        sys.exit(look(config, job, batches, None))
    state = begin(jnn.path_key(jax.random.key(config.seed), f"{name}/init"))
    place, step = _layout(config, spec, batches, 1), job.step()
    if place is not None:
        step, state = job.sharded(place, whole_batches=True), parallel.put_state(state, place)
    return _fit(config, step, state, batches, None, every=every, calls=1, name=name)


def _fit(
    config: Any,
    step: Any,
    state: Any,
    batches: StepBatches,
    measure: Callable[[Any], Metrics] | None,
    *,
    every: int,
    calls: int,
    name: str,
) -> tuple[Any, History]:
    """`fit` in the folder of this name below the run's; or what is done in its place."""
    folder = Path(config.workdir) / name
    if config.replay is not None:
        return _replay(config.replay, name, step, state), []
    if config.kernels != "off":
        list_kernels(config, folder, step, state, _whole(config, batches, calls))
    with contextlib.ExitStack() as stack:
        state, history = fit(
            step,
            state,
            batches,
            steps=config.steps,
            every=_interval(every, config.steps, calls),
            evaluate=Evaluation(measure, ledger=Ledger(folder)),
            checkpoints=stack.enter_context(Checkpoints(folder / "checkpoints", save_seconds=config.save_seconds)),
            recovery=Recovery(capsules=folder / "capsules", run=name, command=shlex.join([*sys.orig_argv, "--replay"])),
            settings=settings(config),
            log=_log(config, folder, name or "train", stack, **_costs(config, step, state, batches, calls)),
        )
    return parallel.local(state), history


def _interval(every: int, steps: int, calls: int) -> int:
    """Updates between two rows of the history, in whole calls; half of a run that would be over before the first."""
    return max(1, (every if every <= steps else steps // 2) // calls) * calls


def _replay(path: str, name: str, step: Callable, state: TrainState) -> TrainState:
    """Reports on a capsule of this run, and exits; the state, where the capsule is of another one."""
    if (capsule := read_capsule(path)).run != name:
        return parallel.local(state)
    found = replay(capsule, step, state)
    say(str(found), Terminal(sys.stdout))
    sys.exit(found.exit_code)


def list_kernels(config: Any, folder: Path, step: Any, state: TrainState, batch: Batch) -> None:
    """Writes which kernels run the step into `kernels.txt`; raises SilentFallback if they must be as written."""
    ledger = kernels(
        step, state, batch if isinstance(step, Program) else step.put(batch), strict=config.kernels == "strict"
    )
    if first():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "kernels.txt", f"{ledger}\n")


def evaluate(loss: LossFn, state: TrainState, batches: Iterable[Batch]) -> Metrics:
    """Merged metrics over batches."""
    program, devices = evaluator(loss), jax.local_device_count()
    return evaluate_on(lambda state, batch: serialize_cpu_programs(program(state, batch), devices), batches, state)


def named(history: History, name: str) -> History:
    """A history with this name behind all that its rows measure, so that those of several networks are one.

    >>> named([{"step": 1, "train/loss": 0.5}], "lstm")
    [{'step': 1, 'train/loss_lstm': 0.5}]
    """
    return [{k if k == "step" else f"{k}_{name}": value for k, value in row.items()} for row in history]


def classified(logits: Any, batch: dict[str, Any]) -> LossOutput:
    """Cross-entropy, accuracy and the confusion matrix of integer labels."""
    out = with_accuracy(logits, batch)
    confusion = jnn.metrics.confusion_matrix(logits, batch["y"], weight=batch["weight"])
    return out._replace(metrics=out.metrics | {"confusion": confusion})


def with_accuracy(logits: Any, batch: Mapping[str, Any]) -> LossOutput:
    """Cross-entropy and accuracy of integer labels: what a sweep measures of each of its members."""
    accuracy = jnn.metrics.accuracy(logits, batch["y"], weight=batch["weight"])
    return LossOutput(jnn.losses.cross_entropy(logits, batch["y"]), batch["weight"], metrics={"accuracy": accuracy})


def _layout(config: Any, spec: Any, batches: Any, microbatches: int) -> parallel.Layout | None:
    """Where arrays lie, once it is sure that the batch can be shared there; None on one device."""
    if jax.device_count() == 1 and config.lanes is None:
        return None
    layout = parallel.layout(spec, config.mesh)
    rows = {"x": jax.ShapeDtypeStruct((batches.batch_size,), "float32")}
    check_shares("train", rows, layout, config.lanes, microbatches)
    return layout


def _on_one_device(
    config, spec, loss, optimizer, keys, *, start, stats, memory, **options
) -> tuple[Callable, TrainState]:
    state = _state(jnn.init(spec, keys["init"]) if start is None else start, optimizer, stats, memory)
    return make_step(loss, optimizer, keys["noise"], **options), state


def _on_a_mesh(
    config, spec, loss, optimizer, keys, *, start, stats, memory, layout, **options
) -> tuple[Callable, TrainState]:
    if start is None:
        state = parallel.sharded_state(optimizer, keys["init"], layout, stats=stats, memory=memory)
    else:
        state = parallel.put_state(_state(start, optimizer, stats, memory), layout)
    given = options.pop("given", None)
    options |= {"given": None if given is None else parallel.put_state(given, layout)}
    options |= {"lanes": config.lanes, "whole_batches": True}
    return parallel.sharded_step(loss, optimizer, keys["noise"], layout, **options), state


def _state(params: Params, optimizer: optax.GradientTransformation, stats: Spec, memory: Any) -> TrainState:
    """The first one, from parameters that are there; running statistics begin as they are declared, without a draw."""
    running = None if stats is None else jnn.init(stats, jax.random.key(0))
    return create_state(params, optimizer, stats=running, memory=None if memory is None else memory(params))


def _whole(config: Any, batches: Any, calls: int = 1) -> Batch:
    """The batch of the last call: where rows grow, they are whole there."""
    return batches[config.steps - 1] if calls == 1 else batches.stack(config.steps - calls, calls)


def _costs(config: Any, step: Callable, state: TrainState, batches: Any, calls: int) -> dict[str, Any]:
    """What the bar makes examples per second and the MFU of; FLOPs are counted where a peak is published."""
    costs = {"examples_per_step": batches.batch_size, "peak_flops": peak_flops(jax.devices())}
    if costs["peak_flops"] is None:
        return costs
    return costs | {"flops_per_step": flops(step, state, _whole(config, batches, calls)).model / calls}


def _log(config: Any, folder: Path, label: str, stack: contextlib.ExitStack, **costs: Any) -> Log:
    """A bar and files, written by the first process."""
    if not first():
        return lambda row: None
    log: Log = stack.enter_context(ProgressLog(folder, steps=config.steps, label=label, **costs))
    if config.tensorboard:
        log = together(log, stack.enter_context(TensorBoardLog(folder / "tensorboard")))
    return log
