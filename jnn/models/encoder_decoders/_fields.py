"""Fields of an encoder-decoder in Hugging Face's config.json, as BART has them, and Marian and Whisper after it.

read("bart", config, SAME, scale_embedding=False) -> fields       its own fields, and those of these families
sizes("bart", fields) -> {...}                                    those of these families, by our names
NAMES                                                             {path: name} of the blocks' weights
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._config_json import Fields, activation_of, known_fields

SIDES = "encoder", "decoder"
TRAINING: Fields = dict.fromkeys(  # where a rate says it
    (
        *("dropout", "attention_dropout", "activation_dropout", "classifier_dropout", "classif_dropout", "init_std"),
        *("encoder_layerdrop", "decoder_layerdrop", "gradient_checkpointing"),
    )
)
DEFAULTS: Fields = {  # the fields of every family; ... where a file has to say
    **dict.fromkeys(("vocab_size", "d_model", "activation_function"), ...),
    **{f"{side}_{name}": ... for side in SIDES for name in ("layers", "attention_heads", "ffn_dim")},
    **TRAINING,
    "num_hidden_layers": None,
}
SAME: Mapping[str, tuple[Any, ...]] = {  # what is computed is this and nothing else
    "is_encoder_decoder": (True,),
    "is_decoder": (False,),
    "tie_word_embeddings": (True,),
    "add_bias_logits": (False,),
    "add_final_layer_norm": (False,),
    "normalize_before": (False,),
}
NAMES: dict[str, str] = {
    f"{side}/{path}": f"model.{side}.layers.{{i}}.{name}"
    for side in SIDES
    for path, name in {
        "blocks/attention/o/*": "self_attn.out_proj.*",
        "blocks/attention/*/*": "self_attn.*_proj.*",
        "blocks/norm1/*": "self_attn_layer_norm.*",
        **({"blocks/cross/o/*": "encoder_attn.out_proj.*"} if side == "decoder" else {}),
        **({"blocks/cross/*/*": "encoder_attn.*_proj.*"} if side == "decoder" else {}),
        **({"blocks/norm_cross/*": "encoder_attn_layer_norm.*"} if side == "decoder" else {}),
        "blocks/norm2/*": "final_layer_norm.*",
        "blocks/up/*": "fc1.*",
        "blocks/down/*": "fc2.*",
    }.items()
}


def read(family: str, config: Mapping[str, Any], same: Mapping[str, tuple[Any, ...]], **defaults: Any) -> Fields:
    """The fields of a config.json that change a value, those of every family and `defaults`, its own.

    Raises:
      TypeError, ValueError: as `known_fields`.
    """
    fields = known_fields(family, config, DEFAULTS | defaults, {**SAME, **same})
    if fields["num_hidden_layers"] not in (None, fields["encoder_layers"]):
        raise ValueError(
            f"{family}_from_hf: found num_hidden_layers={fields['num_hidden_layers']!r} and "
            f"encoder_layers={fields['encoder_layers']!r}, which are two names of one number."
        )
    return fields


def sizes(family: str, fields: Fields) -> Fields:
    """The fields that every family has, by the names of `EncoderDecoderConfig`."""
    return {
        "vocab": fields["vocab_size"],
        "layers": fields["encoder_layers"],
        "heads": fields["encoder_attention_heads"],
        "embed": fields["d_model"],
        "hidden": fields["encoder_ffn_dim"],
        "decoder_layers": fields["decoder_layers"],
        "decoder_heads": fields["decoder_attention_heads"],
        "decoder_hidden": fields["decoder_ffn_dim"],
        "activation": activation_of(family, "activation_function", fields),
    }
