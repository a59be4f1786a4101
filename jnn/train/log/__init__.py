"""Logs: callables of a row of the history, and pages that show them.

What lives here writes rows to a file (`rows`), a progress bar (`progress`), TensorBoard events (`tensorboard`), a page
that follows a run (`live`) and one that sums it up (`report`). `progress` and `report` need the `experiments` extra,
`tensorboard` one of its own: so these are
doors of their own, imported by name. What does not: anything that a step or a state depends on.
"""

from jnn.train.log._throughput import peak_flops

__all__ = [
    "peak_flops",
]
