"""Generation: text drawn from any language model that has a cache, on the device, many tokens a call.

What is here knows no model: `jnn.models` makes a `CachedModel` of each family. What many requests at a time would need,
a queue and a pool of pages that they share, is not here.
"""

from jnn.cached_model import CachedModel
from jnn.generation._adjust import (
    allowed_logits,
    frequency_logits,
    min_p_logits,
    presence_logits,
    repetition_logits,
    temperature_logits,
    top_k_logits,
    top_p_logits,
    typical_logits,
)
from jnn.generation._calls import Generated
from jnn.generation._generate import generate
from jnn.generation._sampling import GREEDY, Sampling
from jnn.generation._stop import Tokenizer

__all__ = [
    "GREEDY",
    "CachedModel",
    "Generated",
    "Sampling",
    "Tokenizer",
    "allowed_logits",
    "frequency_logits",
    "generate",
    "min_p_logits",
    "presence_logits",
    "repetition_logits",
    "temperature_logits",
    "top_k_logits",
    "top_p_logits",
    "typical_logits",
]
