"""One script from a laptop to a pod: where arrays lie is data, and no model knows of it.

What lives here: meshes from short strings (`_mesh`), rules from the names of axes to those of a mesh (`_rules`,
`_layout`, `_placed`), the train step on a mesh (`_step`, `_batch`, `_global_arrays`, `_serialize`, `_reduce`), its sums
in one order on any number of devices (`_lanes`) or once along an axis (`_deferred`), the step by `jax.pmap` (`_pmap`),
gradients between slices in few bits (`_gradient_compression`, `_codecs`), some axes by hand (`_shard_map`), and a room:
what layers become along an axis (`layers/`). What does not: models, which name axes by `jnn.axes`; the step itself,
which is `jnn.train.make_step`; the processes of a job (`jnn.launch`), and machines that are not there
(`jnn.preflight`).
"""

from jnn.parallel._batch import check_rows, put_batch
from jnn.parallel._deferred import deferred_sums
from jnn.parallel._global_arrays import local, split_batch
from jnn.parallel._gradient_compression import compressed_sums, error_feedback_step, zero_residual
from jnn.parallel._lanes import lane_sums
from jnn.parallel._layout import Layout, devices_along, layout
from jnn.parallel._mesh import AXES, mesh
from jnn.parallel._pmap import pmap_step
from jnn.parallel._rules import ACTIVATIONS, PARAMETERS, rule_axes
from jnn.parallel._serialize import serialize_cpu_programs
from jnn.parallel._step import (
    Sharded,
    compile_sharded,
    drawn_state,
    put_state,
    sharded_eval,
    sharded_state,
    sharded_step,
)
from jnn.parallel.layers._expert_parallel import expert_parallel
from jnn.parallel.layers._model_parallel import model_parallel
from jnn.parallel.layers._pipeline import pipeline
from jnn.parallel.layers._ring_attention import ring_attention
from jnn.parallel.layers._ulysses_attention import ulysses_attention

__all__ = [
    "ACTIVATIONS",
    "AXES",
    "PARAMETERS",
    "Layout",
    "Sharded",
    "check_rows",
    "compile_sharded",
    "compressed_sums",
    "deferred_sums",
    "devices_along",
    "drawn_state",
    "error_feedback_step",
    "expert_parallel",
    "lane_sums",
    "layout",
    "local",
    "mesh",
    "model_parallel",
    "pipeline",
    "pmap_step",
    "put_batch",
    "put_state",
    "ring_attention",
    "rule_axes",
    "serialize_cpu_programs",
    "sharded_eval",
    "sharded_state",
    "sharded_step",
    "split_batch",
    "ulysses_attention",
    "zero_residual",
]
