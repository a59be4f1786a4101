"""The pre-flight of an experiment's step, by its options.

look(config, job, batches, losses) -> exit code
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.preflight import TrainingJob, main, steps_of
from jnn.train import LossFn, StepBatches


def look(config: Any, job: TrainingJob, batches: StepBatches, losses: Mapping[str, LossFn] | None) -> int:
    """Prints what this step would take on the machine that is asked for; the exit code."""
    steps = _length(config, job, batches)
    wanted = {"steps": steps, "price": config.price, "budget": config.budget, "json": config.json}
    wanted |= {"searching": config.search, "compiles": config.compiles}
    return main(job, config.preflight, config.mesh, losses=losses, **wanted)


def _length(config: Any, job: TrainingJob, batches: StepBatches) -> float:
    """The steps of the run that a pre-flight bills: as given, or of so many tokens or epochs."""
    if config.tokens is not None:
        return steps_of(job, config.tokens)
    if config.epochs is None:
        return config.steps
    epoch = getattr(batches, "steps_per_epoch", None)
    if epoch is None:
        raise ValueError(f"--epochs: {type(batches).__name__} is a stream that has none. Give --steps or --tokens.")
    return config.epochs * epoch
