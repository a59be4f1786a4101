"""The processes of a job: how they find each other, and who watches them.

    python -m jnn.launch -n 4 -- python -m experiments.gpt
    initialize()                                        in each process, before it computes

What lives here: joining (`_initialize`), where and after what call of the roll (`_cluster`, `_rendezvous`), and the
launcher's part: one process as it is seen from outside (`_worker`), and all of them (`_supervise`). What does not: the
engine, which is `jax.distributed`; and what processes agree on, which is `jnn.processes`.
"""

from jnn.launch._initialize import initialize
from jnn.launch._supervise import USAGE

__all__ = [
    "USAGE",
    "initialize",
]
