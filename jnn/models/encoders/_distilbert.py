"""DistilBERT: BERT's shape without segments, with names of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.activations import relu
from jnn.models._config_json import Fields, activation_of, known_fields
from jnn.models.encoders._config import EncoderConfig
from jnn.models.encoders._names import Head, with_head

KNOWN: Fields = {
    **dict.fromkeys(("vocab_size", "dim", "hidden_dim", "n_layers", "n_heads"), ...),
    **{"max_position_embeddings": 512, "activation": "gelu"},
    # of training; and how positions begin, which are in the file
    **{"dropout": 0.1, "attention_dropout": 0.1, "qa_dropout": 0.1, "seq_classif_dropout": 0.2},
    "sinusoidal_pos_embds": False,
}
SAME: Mapping[str, tuple[Any, ...]] = {  # what is computed is this and nothing else
    "tie_word_embeddings": (True,),
    "tie_weights_": (True,),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "pruned_heads": ({}, None),
}
LAYER = "transformer.layer.{i}"
BODY: Mapping[str, str] = {
    "embed/*": "embeddings.word_embeddings.*",
    "position/*": "embeddings.position_embeddings.*",
    "norm/*": "embeddings.LayerNorm.*",
    "blocks/attention/o/*": f"{LAYER}.attention.out_lin.*",
    "blocks/attention/*/*": f"{LAYER}.attention.*_lin.*",
    "blocks/norm1/*": f"{LAYER}.sa_layer_norm.*",
    "blocks/up/*": f"{LAYER}.ffn.lin1.*",
    "blocks/down/*": f"{LAYER}.ffn.lin2.*",
    "blocks/norm2/*": f"{LAYER}.output_layer_norm.*",
}
HEADS: Mapping[Head, Mapping[str, str]] = {
    "masked_language_model": {
        "dense/*": "vocab_transform.*",
        "norm/*": "vocab_layer_norm.*",
        "b": "vocab_projector.bias",
    },
    "sequence_classifier": {"pooler/*": "pre_classifier.*", "out/*": "classifier.*"},
    "token_classifier": {"*": "classifier.*"},
}


def distilbert_from_hf(config: Mapping[str, Any], *, head: Head | None = None) -> tuple[EncoderConfig, dict[str, str]]:
    """DistilBERT, from Hugging Face's config.json: what it is, and the names of its weights.

    See "DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter", Sanh et al., 2019.

    Args, Returns, Raises: as `bert_from_hf`. It has no pooler.

    >>> base = {"vocab_size": 30522, "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12}
    >>> distilbert_from_hf(base)[0].segments
    0
    """
    fields = known_fields("distilbert", config, KNOWN, SAME)
    found = EncoderConfig(
        vocab=fields["vocab_size"],
        layers=fields["n_layers"],
        heads=fields["n_heads"],
        embed=fields["dim"],
        hidden=fields["hidden_dim"],
        context=fields["max_position_embeddings"],
        segments=0,
        activation=activation_of("distilbert", "activation", fields),
        pool_activation=relu,
    )
    return found, with_head("distilbert", BODY, HEADS, head)
