"""Published vision transformers: sizes by Hugging Face's config.json, and the names of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from jnn.layers import layer_norm
from jnn.models._config_json import Fields, activation_of, image_and_patch, known_fields

KNOWN: Fields = {
    **dict.fromkeys(("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"), ...),
    **{"image_size": 224, "patch_size": 16, "num_channels": 3, "hidden_act": "gelu", "layer_norm_eps": 1e-12},
    **{"id2label": None, "num_labels": None},
    # of training, where a rate says it; and of classes that do not classify
    **{"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    **dict.fromkeys(("encoder_stride", "pooler_output_size", "pooler_act")),
}
SAME: Mapping[str, tuple[Any, ...]] = {  # what is computed is this and nothing else
    "qkv_bias": (True,),
    "is_encoder_decoder": (False,),
    "pruned_heads": ({}, None),
}


def vit_from_hf(config: Mapping[str, Any]) -> tuple[Fields, Fields, dict[str, str]]:
    """ViT, from Hugging Face's config.json: sizes for `vit_spec`, options for `vit`, and the names of its weights.

    See "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", Dosovitskiy et al., 2021. (DeiT
    without a second token is published as a ViT, too.)

    Args:
      config: as a dict, of any version of `transformers`.

    Returns:
      What `vit_spec` takes; what `vit` takes, its norm and activation; and {path: name} for
      `jnn.interop.torch.load_state_dict`, as files of the class for image classification have them.

    Raises:
      TypeError: config is no mapping.
      ValueError: it is of another family, lacks a field, or has one that is not known or asks for what is not computed.

    >>> base = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    >>> sizes, options, names = vit_from_hf(base | {"num_labels": 1000})
    >>> sizes["image"], sizes["patch"], names["norm/*"]
    ((224, 224, 3), 16, 'vit.layernorm.*')
    """
    fields = known_fields("vit", config, KNOWN, SAME)
    return _sizes("vit", fields), _options("vit", fields), _names("vit") | {"out/*": "classifier.*"}


def deit_from_hf(config: Mapping[str, Any]) -> tuple[Fields, Fields, dict[str, str]]:
    """DeiT, from Hugging Face's config.json: sizes for `deit_spec`, options for `deit`, and the names of its weights.

    See "Training data-efficient image transformers & distillation through attention", Touvron et al., 2021.

    Args, Returns, Raises: as `vit_from_hf`, of the class for image classification with a teacher.

    >>> tiny = {"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 12, "num_attention_heads": 3}
    >>> deit_from_hf(tiny)[2]["out_distill/*"]
    'distillation_classifier.*'
    """
    fields = known_fields("deit", config, KNOWN, SAME)
    names = {
        "distill": "deit.embeddings.distillation_token",
        "out/*": "cls_classifier.*",
        "out_distill/*": "distillation_classifier.*",
    }
    return _sizes("deit", fields), _options("deit", fields), _names("deit") | names


def _sizes(family: str, fields: Fields) -> Fields:
    image, patch = image_and_patch(family, fields)
    return {
        "image": image,
        "patch": patch,
        "classes": fields["num_labels"] or len(fields["id2label"] or "ab"),  # two, where nothing is said
        "layers": fields["num_hidden_layers"],
        "heads": fields["num_attention_heads"],
        "embed": fields["hidden_size"],
        "hidden": fields["intermediate_size"],
    }


def _options(family: str, fields: Fields) -> Fields:
    norm = partial(layer_norm, epsilon=fields["layer_norm_eps"])
    return {"norm": norm, "activation": activation_of(family, "hidden_act", fields)}


def _names(family: str) -> dict[str, str]:
    layer = f"{family}.encoder.layer.{{i}}"
    return {
        "patch/*": f"{family}.embeddings.patch_embeddings.projection.*",
        "class": f"{family}.embeddings.cls_token",
        "position/table": f"{family}.embeddings.position_embeddings",
        "blocks/norm1/*": f"{layer}.layernorm_before.*",
        "blocks/norm2/*": f"{layer}.layernorm_after.*",
        "blocks/attention/q/*": f"{layer}.attention.attention.query.*",
        "blocks/attention/k/*": f"{layer}.attention.attention.key.*",
        "blocks/attention/v/*": f"{layer}.attention.attention.value.*",
        "blocks/attention/o/*": f"{layer}.attention.output.dense.*",
        "blocks/up/*": f"{layer}.intermediate.dense.*",
        "blocks/down/*": f"{layer}.output.dense.*",
        "norm/*": f"{family}.layernorm.*",
    }
