"""The processes of a job: how they find each other, and who watches them.

What lives here: joining (`join`), where and after what call of the roll (`cluster`, `rollcall`), and the launcher's
part: one process as it is seen from outside (`member`), and all of them (`supervise`). What does not: the engine, which
is `jax.distributed`; and what processes save or agree on, which is `jnn.train`.
"""

from jnn.launch._initialize import initialize
from jnn.launch._supervise import USAGE

__all__ = [
    "USAGE",
    "initialize",
]
