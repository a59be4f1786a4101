"""Planning ahead of time: what a train step would take on machines that need not be there.

    preflight(TrainingJob(spec, loss, optimizer, batch), "v5p:8x8x8", "fsdp=64,tensor=8") -> Report
    search(job, "v5e:16x16") -> Search                  the layouts that fit, the fastest first

What lives here: machines by name (`_topology`, `_chips`), the real step compiled for them (`_compile`), what it takes
(`_communication` over the `_interconnect`, `_hbm_traffic`, `_roofline`), what is wrong with it (`_lint`), the
`_report`, and the `_search`. What does not: reading programs, which is `jnn.inspect`; the step itself, which is
`jnn.parallel.sharded_step`.
"""

from jnn.preflight._budget import Budget
from jnn.preflight._chips import CHIPS, Chip
from jnn.preflight._compile import Job, TrainingJob, UpdatesJob, check_shares
from jnn.preflight._main import main
from jnn.preflight._preflight import preflight, steps_of
from jnn.preflight._report import Report
from jnn.preflight._search import Candidate, Search, search
from jnn.preflight._topology import Topology, has_libtpu, set_cpu_devices, topology

__all__ = [
    "CHIPS",
    "Budget",
    "Candidate",
    "Chip",
    "Job",
    "Report",
    "Search",
    "Topology",
    "TrainingJob",
    "UpdatesJob",
    "check_shares",
    "has_libtpu",
    "main",
    "preflight",
    "search",
    "set_cpu_devices",
    "steps_of",
    "topology",
]
