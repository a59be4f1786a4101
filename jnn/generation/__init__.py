"""Generation: text drawn from any language model that has a cache, on the device, many tokens a call.

What is here knows no model: `jnn.models` makes a `CachedModel` of each family. What many requests at a time need, a
queue and a pool of pages that they share, is in `jnn.serving`.
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
from jnn.generation._beam import Beams, beam_search
from jnn.generation._calls import Generated
from jnn.generation._chat import chat_tokens
from jnn.generation._checks import check_tokenizer
from jnn.generation._contrastive import contrastive_search
from jnn.generation._decode import token_log_prob
from jnn.generation._draft import DraftModel, PromptLookup
from jnn.generation._generate import generate
from jnn.generation._host_mask import host_mask
from jnn.generation._sampling import GREEDY, PLAIN, History, Sampling, adjusted_logits, check_sampling
from jnn.generation._speculative import speculative_generate
from jnn.generation._stream import stream
from jnn.generation._tokenizer import Detokenizer, Tokenizer
from jnn.generation._transcript import Transcript
from jnn.generation._verify import acceptance, residual, verify

__all__ = [
    "GREEDY",
    "PLAIN",
    "Beams",
    "CachedModel",
    "Detokenizer",
    "DraftModel",
    "Generated",
    "History",
    "PromptLookup",
    "Sampling",
    "Tokenizer",
    "Transcript",
    "acceptance",
    "adjusted_logits",
    "allowed_logits",
    "beam_search",
    "chat_tokens",
    "check_sampling",
    "check_tokenizer",
    "contrastive_search",
    "frequency_logits",
    "generate",
    "host_mask",
    "min_p_logits",
    "presence_logits",
    "repetition_logits",
    "residual",
    "speculative_generate",
    "stream",
    "temperature_logits",
    "token_log_prob",
    "top_k_logits",
    "top_p_logits",
    "typical_logits",
    "verify",
]
