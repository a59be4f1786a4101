"""Training: the state, the stateless step, and small functions around it.

What lives here knows no model: the step (`objective`, `step`, `state`, `diagnostics`), the loop (`loop`, `run`,
`aside`, `batches`, `journal`, `hooks`, `stopping`, `preemption`, `watch`), and three rooms: `checkpoint/`, `failure/`
and `log/`. What does not: layers, losses, data sets. What draws and prints, in `log/`, needs extras and is imported by
name.
"""

from jnn.train.checkpoint import Checkpoints, Damaged, Saved, digest
from jnn.train.context import Context, LossOutput
from jnn.train.diagnostics import activation, layer_norms
from jnn.train.failure.blame import first_bad
from jnn.train.failure.capsule import read_capsule, write_capsule
from jnn.train.hooks import Ledger
from jnn.train.loop import evaluate_on, fit
from jnn.train.objective import Sums, gradient_sums, normalize
from jnn.train.preemption import Preempted, Preemption
from jnn.train.recovery import Recovery
from jnn.train.state import TrainState, create_state, step_of
from jnn.train.step import compile_step, make_eval, make_step
from jnn.train.stopping import Plateau
from jnn.train.update import update
from jnn.train.verify import verify_resume

__all__ = [
    "Checkpoints",
    "Context",
    "Damaged",
    "Ledger",
    "LossOutput",
    "Plateau",
    "Preempted",
    "Preemption",
    "Recovery",
    "Saved",
    "Sums",
    "TrainState",
    "activation",
    "compile_step",
    "create_state",
    "digest",
    "evaluate_on",
    "first_bad",
    "fit",
    "gradient_sums",
    "layer_norms",
    "make_eval",
    "make_step",
    "normalize",
    "read_capsule",
    "step_of",
    "update",
    "verify_resume",
    "write_capsule",
]
