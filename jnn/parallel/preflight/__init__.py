"""Before a chip is rented: what a train step would take on machines that need not be there.

    preflight(Job(spec, loss, optimizer, batch), "v5p:8x8x8", "fsdp=64,tensor=8") -> Report
    search(job, "v5e:16x16") -> Search                  the layouts that fit, the fastest first

What lives here: machines by name (`topology`, `chips`), the real step compiled for them (`compiled`), what it takes
(`moves` over `wires`, memory `traffic`, `roofline`), what is wrong with it (`faults`), the `report`, and the `search`.
What does not: reading programs, which is `jnn.inspect`; the step itself, which is `jnn.parallel.step`.
"""

from jnn.parallel.preflight.budget import Budget
from jnn.parallel.preflight.chips import CHIPS, Chip
from jnn.parallel.preflight.command import fly
from jnn.parallel.preflight.compiled import Job
from jnn.parallel.preflight.flight import preflight
from jnn.parallel.preflight.report import Report
from jnn.parallel.preflight.search import Candidate, Search, search
from jnn.parallel.preflight.topology import Topology, has_libtpu, topology

__all__ = [
    "CHIPS",
    "Budget",
    "Candidate",
    "Chip",
    "Job",
    "Report",
    "Search",
    "Topology",
    "fly",
    "has_libtpu",
    "preflight",
    "search",
    "topology",
]
