"""Training: the state, the stateless step, and small functions around it.

What lives here knows no model. The step: `_context` (what a loss reads and returns), `_gradients` (micro-batches, the
one division), `_optimizer`, `_update`, `_step`, `_state`, `_statistics`, `_padding`, `_loss_scale`, `_diagnostics`,
`_arguments`. The loop: `_loop`, `_run`, `_record`, `_history`, `_evaluation`, `_batches`, `_early_stopping`, `_ledger`,
`_preemption`, `_recovery`, `_settings`, `_verify`, `_watch`. Meta-learning: `_inner_loop`. And three rooms:
`checkpoint/`, `capsule/` and `log/`.
What does not: layers, losses, data sets. What draws and prints, in `log/`, needs extras and is imported by name.
"""

from jnn.inspect.nonfinite import first_bad
from jnn.train._batches import Step, StepBatches
from jnn.train._context import Batch, Context, LossFn, LossOutput, Metrics, check_loss, check_optimizer
from jnn.train._diagnostics import activation, gradient_norms
from jnn.train._early_stopping import EarlyStopping
from jnn.train._evaluation import Evaluation
from jnn.train._gradients import Sums, gradient_sums, normalize
from jnn.train._history import History
from jnn.train._inner_loop import inner_loop
from jnn.train._ledger import Ledger
from jnn.train._loop import evaluate_on, fit
from jnn.train._padding import overwrite_padding
from jnn.train._preemption import Preempted
from jnn.train._recovery import Recovery
from jnn.train._settings import check_settings
from jnn.train._state import TrainState, copy_buffers, create_state
from jnn.train._step import compile_step, make_eval, make_step
from jnn.train._update import AddUp, Remember, check_options, update
from jnn.train._verify import verify_resume
from jnn.train._watch import tell, watch
from jnn.train.capsule import read_capsule, replay
from jnn.train.checkpoint import Checkpoints, CorruptCheckpoint, digest

__all__ = [
    "AddUp",
    "Batch",
    "Checkpoints",
    "Context",
    "CorruptCheckpoint",
    "EarlyStopping",
    "Evaluation",
    "History",
    "Ledger",
    "LossFn",
    "LossOutput",
    "Metrics",
    "Preempted",
    "Recovery",
    "Remember",
    "Step",
    "StepBatches",
    "Sums",
    "TrainState",
    "activation",
    "check_loss",
    "check_optimizer",
    "check_options",
    "check_settings",
    "compile_step",
    "copy_buffers",
    "create_state",
    "digest",
    "evaluate_on",
    "first_bad",
    "fit",
    "gradient_norms",
    "gradient_sums",
    "inner_loop",
    "make_eval",
    "make_step",
    "normalize",
    "overwrite_padding",
    "read_capsule",
    "replay",
    "tell",
    "update",
    "verify_resume",
    "watch",
]
