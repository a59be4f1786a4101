"""The pre-flight of an experiment's step, by its options.

look(config, job, batches, losses) -> exit code
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.preflight import Job, main, steps_of
from jnn.train import LossFn, StepBatches


def look(config: Any, job: Job, batches: StepBatches, losses: Mapping[str, LossFn] | None) -> int:
    """Prints what this step would take on the machine that is asked for; the exit code."""
    flight = config.preflight
    return main(
        job,
        flight.machine,
        config.mesh,
        steps=_length(config, job, batches),
        price=flight.price,
        budget=flight.budget,
        json=flight.json,
        searching=flight.search,
        compiles=flight.compiles,
        losses=losses,
    )


def _length(config: Any, job: Job, batches: StepBatches) -> float:
    """The steps of the run that a pre-flight bills: as given, or of so many tokens or epochs."""
    flight = config.preflight
    if flight.tokens is not None:
        return steps_of(job, flight.tokens)
    if flight.epochs is None:
        return config.steps
    epoch = getattr(batches, "steps_per_epoch", None)
    if epoch is None:
        stream = type(batches).__name__
        raise ValueError(f"--preflight.epochs: {stream} is a stream that has none. Give --steps or --preflight.tokens.")
    return flight.epochs * epoch
