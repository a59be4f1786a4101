"""Fine-tuning: what is done to a model that is trained already, as maps over its spec and its parameters.

    lora_spec, dora_spec -> with_lora, merge_lora       products of low rank beside weights
    lora_arrays, load_lora                              saved and read back with their alpha
    adapters_spec, prefixes_spec -> with_parts          bottlenecks behind branches, keys and values before a sequence

Here are trees of what is trained or kept; what is computed with them is where it is computed (`jnn.layers.linear`,
`attention`, `jnn.models.transformer_block`), iff the parameters have it. Which of them a step trains, and which it is
given, is the step's (`jnn.train`).
"""

from jnn.finetune._adapters import adapters_spec, prefixes_spec
from jnn.finetune._lora import dora_spec, lora_spec, merge_lora, with_lora
from jnn.finetune._lora_arrays import load_lora, lora_arrays
from jnn.finetune._parts import with_parts

__all__ = [
    "adapters_spec",
    "dora_spec",
    "load_lora",
    "lora_arrays",
    "lora_spec",
    "merge_lora",
    "prefixes_spec",
    "with_lora",
    "with_parts",
]
