"""Encoders of BERT's family: one function, its heads, and what its published members are; the door is `jnn.models`.

encoder_spec(config), encoder(p, tokens, config, key=key, lengths=lengths)      hidden states
pooler, mean_pool, masked_language_model, sequence_classifier, token_classifier what is made of them
bert_from_hf(config) -> (config, names)                                         and `roberta_from_hf`, ..., one a family
"""

from jnn.models.encoders._bert import bert_from_hf
from jnn.models.encoders._config import EncoderConfig
from jnn.models.encoders._distilbert import distilbert_from_hf
from jnn.models.encoders._encoder import encoder, encoder_spec
from jnn.models.encoders._heads import (
    masked_language_model,
    masked_language_model_spec,
    sequence_classifier,
    sequence_classifier_spec,
    token_classifier,
    token_classifier_spec,
)
from jnn.models.encoders._pooling import mean_pool, pooler, pooler_spec
from jnn.models.encoders._published import encoder_from_hf
from jnn.models.encoders._roberta import roberta_from_hf

__all__ = [
    "EncoderConfig",
    "bert_from_hf",
    "distilbert_from_hf",
    "encoder",
    "encoder_from_hf",
    "encoder_spec",
    "masked_language_model",
    "masked_language_model_spec",
    "mean_pool",
    "pooler",
    "pooler_spec",
    "roberta_from_hf",
    "sequence_classifier",
    "sequence_classifier_spec",
    "token_classifier",
    "token_classifier_spec",
]
