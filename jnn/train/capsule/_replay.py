"""One step made again from a capsule, primitive by primitive, to find where its bad number came from.

    replay(capsule, step, like) -> Replay

Whoever calls it builds the step and a state of the right tree as for training: a capsule holds no program.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jnn.inspect.nonfinite import Finding, Summary, examine
from jnn.param import flatten
from jnn.train._record import values_of
from jnn.train._state import params_of, trained
from jnn.train.capsule._capsule import Capsule, norms, read_capsule


@dataclasses.dataclass(frozen=True)
class Replay:
    """What became of a step that was made again; `str(replay)` is a report.

    Attributes:
      capsule: of the step.
      metrics: the step's, by name: float64 values, of all steps of one call.
      finding: what made the first bad number of the metrics and the new parameters; None if they are finite.
      params: before the step, by path, for the table of norms.
    """

    capsule: Capsule
    metrics: dict[str, np.ndarray]
    finding: Finding | None
    params: Any

    @property
    def exit_code(self) -> int:
        """0 when a culprit was found, 1 when the step is finite."""
        return 0 if self.finding else 1

    def __str__(self) -> str:
        found = self.finding or (
            "The step replays finite: neither a metric nor a new parameter is bad. Was it a spike? Else look below for "
            "what is close to an overflow, since compiled code rounds differently; then suspect the machine."
        )
        bad = {path: Summary.of(np.asarray(x)) for path, x in flatten({"batch": self.capsule.batch}).items()}
        lines = [f"{path}  {summary}" for path, summary in bad.items() if summary.bad] or ["Every number is finite."]
        sections = {
            f"Step {self.capsule.step}": self.capsule.message,
            "Metrics": "\n".join(f"{name}  {_digits(values)}" for name, values in self.metrics.items()),
            "Culprit": str(found),
            "Batch": "\n".join(lines),
            "Parameters before the step": norms(self.params),
        }
        return "\n\n".join(f"{title}\n{text}" for title, text in sections.items())


def _digits(values: np.ndarray) -> str:
    return ", ".join(f"{x:.6g}" for x in values.ravel()[:32])


def replay(capsule: Capsule | str | Path, step: Callable[[Any, Any], tuple[Any, Any]], like: Any) -> Replay:
    """Makes a capsule's step again.

    Args:
      capsule: its folder, or what `read_capsule` made of it.
      step: `step(state, batch) -> (state, metrics)` as `make_step` builds it, of the run that wrote the capsule.
      like: a state of that run, or its `jax.eval_shape`.

    Raises:
      ValueError: there is no whole capsule, or its state does not fit `like`.

    >>> import jax, optax, tempfile, jax.numpy as jnp
    >>> from jnn.train import LossOutput, create_state, make_step
    >>> from jnn.train.capsule import write_capsule
    >>> def loss(params, batch, ctx):
    ...     return LossOutput(jnp.log(params["w"] * batch["x"]))
    >>> state = create_state({"w": jnp.ones(())}, optax.sgd(0.1))
    >>> path = write_capsule(tempfile.mkdtemp(), step=0, batch={"x": np.float32([1, 0])}, state=state,
    ...                      message="the loss is -inf")
    >>> step = make_step(loss, optax.sgd(0.1), jax.random.key(1))
    >>> replay(path, step, state).finding.primitive
    'log'
    """
    capsule = capsule if isinstance(capsule, Capsule) else read_capsule(capsule)
    state = capsule.state_as(like)

    def watched(state: Any, batch: Any) -> Any:
        new, metrics = step(state, batch)
        return metrics, trained(new)

    (metrics, _), finding = examine(watched, state, capsule.batch)
    return Replay(capsule, {name: values_of(metric) for name, metric in metrics.items()}, finding, params_of(state))
