"""RoBERTa: BERT's shape, where positions begin behind the number of the token that fills up, and all is one segment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._config_json import known_fields
from jnn.models.encoders._bert import BODY, KNOWN, SAME, sizes
from jnn.models.encoders._config import EncoderConfig
from jnn.models.encoders._names import Head, with_head

HEADS: Mapping[Head, Mapping[str, str]] = {
    "pooler": {"*": "pooler.dense.*"},
    "masked_language_model": {"dense/*": "lm_head.dense.*", "norm/*": "lm_head.layer_norm.*", "b": "lm_head.bias"},
    "sequence_classifier": {"pooler/*": "classifier.dense.*", "out/*": "classifier.out_proj.*"},
    "token_classifier": {"*": "classifier.*"},
}


def roberta_from_hf(config: Mapping[str, Any], *, head: Head | None = None) -> tuple[EncoderConfig, dict[str, str]]:
    """RoBERTa, from Hugging Face's config.json: what it is, and the names of its weights.

    See "RoBERTa: A Robustly Optimized BERT Pretraining Approach", Liu et al., 2019.

    Args, Returns, Raises: as `bert_from_hf`.

    >>> base = {"vocab_size": 50265, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12}
    >>> base |= {"num_attention_heads": 12, "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1}
    >>> roberta_from_hf(base)[0].positions
    512
    """
    # its head for masked language models has this activation, whatever hidden_act says
    fields = known_fields("roberta", config, KNOWN | {"pad_token_id": 1}, {**SAME, "hidden_act": ("gelu",)})
    if (padding := fields["pad_token_id"]) is None:
        raise ValueError("roberta_from_hf: expected a pad_token_id, behind which positions begin, found None.")
    found = EncoderConfig(**sizes("roberta", fields), padding=padding)
    return found, with_head("roberta", BODY, HEADS, head)
