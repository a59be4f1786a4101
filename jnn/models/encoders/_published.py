"""Any published encoder of the family, by what its config.json says it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jnn.models._config_json import family_of
from jnn.models.encoders._bert import bert_from_hf
from jnn.models.encoders._config import EncoderConfig
from jnn.models.encoders._distilbert import distilbert_from_hf
from jnn.models.encoders._names import Head
from jnn.models.encoders._roberta import roberta_from_hf

FAMILIES: Mapping[str, Callable[..., tuple[EncoderConfig, dict[str, str]]]] = {
    "bert": bert_from_hf,
    "distilbert": distilbert_from_hf,
    "roberta": roberta_from_hf,
}


def encoder_from_hf(config: Mapping[str, Any], *, head: Head | None = None) -> tuple[EncoderConfig, dict[str, str]]:
    """Published encoder, from Hugging Face's config.json, by its "model_type": what it is, and its weights' names.

    BERT (MiniLM and others of its shape), RoBERTa and DistilBERT, whatever their size.

    Args, Returns, Raises: as `bert_from_hf`.

    >>> encoder_from_hf({"model_type": "t5"})
    Traceback (most recent call last):
    ValueError: encoder_from_hf: expected model_type among ['bert', 'distilbert', 'roberta'], found 't5'.
    """
    return family_of("encoder_from_hf", config, FAMILIES)(config, head=head)
