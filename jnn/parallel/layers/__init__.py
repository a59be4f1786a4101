"""What a model's layers become along one axis of a mesh, each the same function as the layer that it stands for.

What lives here: attention with the time axis in pieces, going round (`_ring_attention`, `_ring_step`, `_zigzag`) or by
heads (`_ulysses_attention`), experts on devices of their own (`_expert_parallel`), layers in runs (`_pipeline`,
`_pipeline_schedule`, `_row_keys`), and `model_parallel`, which puts them in the place of a model's layers. What does
not: layers that need no word of a mesh, which are `jnn.layers`, whatever axes their arrays lie along.
"""

from jnn.parallel.layers._model_parallel import model_parallel

__all__ = [
    "model_parallel",
]
