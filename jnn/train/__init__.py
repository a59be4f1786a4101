"""Training: the state, the stateless step, and small functions around it.

What lives here knows no model. What does not: layers, losses, data sets. `jnn.train.logging` and
`jnn.train.report` draw and print; they need the `experiments` extra and are imported by name.
"""

from jnn.train.checkpoint import Checkpoints, digest
from jnn.train.loop import evaluate_on, fit
from jnn.train.state import TrainState, create_state
from jnn.train.step import LossOutput, make_eval, make_step

__all__ = [
    "Checkpoints",
    "LossOutput",
    "TrainState",
    "create_state",
    "digest",
    "evaluate_on",
    "fit",
    "make_eval",
    "make_step",
]
