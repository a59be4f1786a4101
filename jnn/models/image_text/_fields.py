"""Fields of two towers in Hugging Face's config.json, and the names of their weights.

read_top("clip", config, projection_dim=512) -> fields      beside its parts
read("clip", config, "text", known) -> fields               of one of them
tower("clip", fields) -> TowerConfig
names() -> {path: name}                                     of what both families have
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._config_json import Fields, activation_of, known_fields
from jnn.models.image_text._config import TowerConfig

SAME: Mapping[str, tuple[Any, ...]] = {  # what is computed is this and nothing else
    "attention_dropout": (0,),
    "dropout": (0,),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "cross_attention_hidden_size": (None,),
    "tie_encoder_decoder": (False,),
    "pruned_heads": ({}, None),
    "vision_use_head": (True,),
}
WITHOUT_VALUE: Fields = {"tie_word_embeddings": None}  # nothing is tied


def read(family: str, config: Mapping[str, Any], part: str, known: Fields) -> Fields:
    """The fields of "text_config" or "vision_config"; where there is a "text_config_dict", the first files' way, of it.

    Raises:
      TypeError, ValueError: as `known_fields`.
    """
    given = config.get(f"{part}_config_dict") or config.get(f"{part}_config") or {}
    return known_fields(family, given, known | WITHOUT_VALUE, SAME, part=part)


def read_top(family: str, config: Mapping[str, Any], **known: Any) -> Fields:
    """The fields of a config beside its parts."""
    parts = dict.fromkeys(f"{part}_config{kind}" for part in ("text", "vision") for kind in ("", "_dict"))
    return known_fields(family, config, parts | known | WITHOUT_VALUE, SAME)


def tower(family: str, fields: Fields) -> TowerConfig:
    """One tower."""
    return TowerConfig(
        layers=fields["num_hidden_layers"],
        heads=fields["num_attention_heads"],
        embed=fields["hidden_size"],
        hidden=fields["intermediate_size"],
        activation=activation_of(family, "hidden_act", fields),
        epsilon=fields["layer_norm_eps"],
    )


def names() -> dict[str, str]:
    """Of what both families have."""
    return {
        "image/patch/*": "vision_model.embeddings.patch_embedding.*",
        "image/position/*": "vision_model.embeddings.position_embedding.*",
        "image/norm/*": "vision_model.post_layernorm.*",
        "text/embed/*": "text_model.embeddings.token_embedding.*",
        "text/position/*": "text_model.embeddings.position_embedding.*",
        "text/norm/*": "text_model.final_layer_norm.*",
        **_layers("image/blocks", "vision_model.encoder.layers.{i}"),
        **_layers("text/blocks", "text_model.encoder.layers.{i}"),
        "logit_scale": "logit_scale",
    }


def _layers(path: str, name: str) -> dict[str, str]:
    return {
        f"{path}/norm1/*": f"{name}.layer_norm1.*",
        f"{path}/norm2/*": f"{name}.layer_norm2.*",
        f"{path}/attention/o/*": f"{name}.self_attn.out_proj.*",
        f"{path}/attention/*/*": f"{name}.self_attn.*_proj.*",
        f"{path}/up/*": f"{name}.mlp.fc1.*",
        f"{path}/down/*": f"{name}.mlp.fc2.*",
    }
