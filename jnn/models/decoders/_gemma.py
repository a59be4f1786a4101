"""Gemma: scaled embeddings, a GELU gate, norms that keep their scale less 1; its second generation with more norms,
caps of scores and logits, and a window in every other layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._block_choices import ATTENTION
from jnn.models._config_json import Fields
from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._fields import names, read, sizes, windows

OWN: Fields = {
    **{"hidden_act": None, "hidden_activation": None, "tie_word_embeddings": True, "attention_bias": False},
    **{"num_key_value_heads": ..., "head_dim": ...},
}


def gemma_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Gemma, from Hugging Face's config.json: what it is, and the names of its weights.

    See "Gemma: Open Models Based on Gemini Research and Technology", Gemma Team, 2024.

    Args, Returns, Raises: as `llama_from_hf`.

    >>> tiny = {"vocab_size": 8, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "head_dim": 4}
    >>> tiny |= {"num_attention_heads": 4, "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "hidden_act": "gelu"}
    >>> gemma_from_hf(tiny)[0].embed_scale
    4.0
    """
    found = DecoderConfig(**_sizes("gemma", read("gemma", config, **OWN)))
    return found, names(found)


def gemma2_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Gemma 2, from Hugging Face's config.json: what it is, and the names of its weights.

    See "Gemma 2: Improving Open Language Models at a Practical Size", Gemma Team, 2024.

    Args, Returns, Raises: as `llama_from_hf`.

    >>> tiny = {"vocab_size": 8, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "head_dim": 4}
    >>> tiny |= {"num_attention_heads": 4, "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "sliding_window": 4096}
    >>> tiny |= {"query_pre_attn_scalar": 4, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
    >>> gemma2_from_hf(tiny | {"hidden_activation": "gelu_pytorch_tanh"})[0].windows
    (4096, None)
    """
    capped = dict.fromkeys(("attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar"), ...)
    fields = read("gemma2", config, **OWN, **capped, sliding_window=..., layer_types=None)
    found = DecoderConfig(
        **_sizes("gemma2", fields),
        post_norms=True,
        windows=windows("gemma2", fields, fields["sliding_window"], lambda i: i % 2 == 0),
        score_scale=fields["query_pre_attn_scalar"] ** -0.5,
        score_cap=fields["attn_logit_softcapping"],
        logit_cap=fields["final_logit_softcapping"],
    )
    return found, names(found)


def _sizes(family: str, fields: Fields) -> Fields:
    """What both generations have. The first files say "gelu" and mean its approximation."""
    activation = fields["hidden_activation"] or fields["hidden_act"]
    fields |= {"hidden_act": "gelu_pytorch_tanh" if activation == "gelu" else activation}
    return {
        **sizes(family, fields),
        "bias": ATTENTION * fields["attention_bias"],
        "zero_centered": True,
        "embed_scale": fields["hidden_size"] ** 0.5,
    }
