"""One script from a laptop to a pod: where arrays lie is data, and no model knows of it.

What lives here: meshes from short strings (`mesh`), rules from the names of axes to those of a mesh (`rules`,
`layout`), the train step on a mesh (`step`, `batch`, `whole`, `in_turn`, `adding`), its sums in one order on any number
of devices (`lanes`), the step by `jax.pmap` (`pmap`), gradients between slices (`slices`, `codecs`); and three rooms:
what layers become along an axis (`layers/`), the processes of a job (`processes/`), and the report on a machine that is
not there (`preflight/`).
What does not: models, which name axes by `jnn.axes`; the step itself, which is `jnn.train.make_step`.
"""

from jnn.parallel.batch import put_batch
from jnn.parallel.lanes import lane_sums
from jnn.parallel.layers.exchange import exchanged_experts
from jnn.parallel.layers.pipeline import pipeline
from jnn.parallel.layers.ring import ring_attention
from jnn.parallel.layers.spread import spread
from jnn.parallel.layers.ulysses import heads_attention
from jnn.parallel.layout import Layout, layout
from jnn.parallel.mesh import AXES, mesh
from jnn.parallel.pmap import pmap_step
from jnn.parallel.processes.join import join
from jnn.parallel.rules import ACTIVATIONS, PARAMETERS
from jnn.parallel.slices import feedback_step, no_residual, slice_sums
from jnn.parallel.step import compile_sharded, put_state, sharded_eval, sharded_state, sharded_step
from jnn.parallel.whole import local, split_batch

__all__ = [
    "ACTIVATIONS",
    "AXES",
    "PARAMETERS",
    "Layout",
    "compile_sharded",
    "exchanged_experts",
    "feedback_step",
    "heads_attention",
    "join",
    "lane_sums",
    "layout",
    "local",
    "mesh",
    "no_residual",
    "pipeline",
    "pmap_step",
    "put_batch",
    "put_state",
    "ring_attention",
    "sharded_eval",
    "sharded_state",
    "sharded_step",
    "slice_sums",
    "split_batch",
    "spread",
]
