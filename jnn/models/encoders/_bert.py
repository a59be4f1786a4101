"""BERT: the encoder as it is; MiniLM, the sentence transformers and others are of its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._config_json import Fields, activation_of, known_fields
from jnn.models.encoders._config import EncoderConfig
from jnn.models.encoders._names import Head, with_head

KNOWN: Fields = {
    **dict.fromkeys(
        ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"), ...
    ),
    **{"max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"},
    # of training, where a rate says it
    **{"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "classifier_dropout": None},
    # of another pooler, which no class computes
    **dict.fromkeys(("pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head")),
    **dict.fromkeys(("pooler_type", "directionality")),
}
SAME: Mapping[str, tuple[Any, ...]] = {  # what is computed is this and nothing else
    "position_embedding_type": ("absolute",),
    "tie_word_embeddings": (True,),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "cross_attention_hidden_size": (None,),
    "pruned_heads": ({}, None),
}
LAYER = "encoder.layer.{i}"
BODY: Mapping[str, str] = {
    "embed/*": "embeddings.word_embeddings.*",
    "position/*": "embeddings.position_embeddings.*",
    "segment/*": "embeddings.token_type_embeddings.*",
    "norm/*": "embeddings.LayerNorm.*",
    "blocks/attention/q/*": f"{LAYER}.attention.self.query.*",
    "blocks/attention/k/*": f"{LAYER}.attention.self.key.*",
    "blocks/attention/v/*": f"{LAYER}.attention.self.value.*",
    "blocks/attention/o/*": f"{LAYER}.attention.output.dense.*",
    "blocks/norm1/*": f"{LAYER}.attention.output.LayerNorm.*",
    "blocks/up/*": f"{LAYER}.intermediate.dense.*",
    "blocks/down/*": f"{LAYER}.output.dense.*",
    "blocks/norm2/*": f"{LAYER}.output.LayerNorm.*",
}
HEADS: Mapping[Head, Mapping[str, str]] = {
    "pooler": {"*": "pooler.dense.*"},
    "masked_language_model": {
        "dense/*": "cls.predictions.transform.dense.*",
        "norm/*": "cls.predictions.transform.LayerNorm.*",
        "b": "cls.predictions.bias",
    },
    "sequence_classifier": {"pooler/*": "bert.pooler.dense.*", "out/*": "classifier.*"},
    "token_classifier": {"*": "classifier.*"},
}


def bert_from_hf(config: Mapping[str, Any], *, head: Head | None = None) -> tuple[EncoderConfig, dict[str, str]]:
    """BERT, from Hugging Face's config.json: what it is, and the names of its weights.

    See "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", Devlin et al., 2019.

    Args:
      config: as a dict, of any version of `transformers`.
      head: of which class the weights are: "pooler", "masked_language_model", "sequence_classifier",
        "token_classifier"; of an encoder alone by default.

    Returns:
      A config for `encoder`, and {path: name} for `jnn.interop.torch.load_state_dict`: of `encoder_spec(config)`, or of
      {"encoder": encoder_spec(config), "head": pooler_spec(config)} and the like. What files hold beside is ignored by
      ignore=["pooler.*", "*position_ids"]; where their norms have a "gamma" and a "beta", rename these.

    Raises:
      TypeError: config is no mapping.
      ValueError: it is of another family, lacks a field, or has one that is not known or asks for what is not computed;
        or there is no such head.

    >>> minilm = {"vocab_size": 30522, "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6}
    >>> config, names = bert_from_hf(minilm | {"num_attention_heads": 12})
    >>> config.context, names["norm/*"]
    (512, 'embeddings.LayerNorm.*')
    """
    fields = known_fields("bert", config, KNOWN, SAME)
    return EncoderConfig(**sizes("bert", fields)), with_head("bert", BODY, HEADS, head)


def sizes(family: str, fields: Fields) -> Fields:
    """Fields by the names of `EncoderConfig`."""
    return {
        "vocab": fields["vocab_size"],
        "layers": fields["num_hidden_layers"],
        "heads": fields["num_attention_heads"],
        "embed": fields["hidden_size"],
        "hidden": fields["intermediate_size"],
        "context": fields["max_position_embeddings"],
        "segments": fields["type_vocab_size"],
        "activation": activation_of(family, "hidden_act", fields),
        "epsilon": fields["layer_norm_eps"],
    }
