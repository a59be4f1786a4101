"""Published pairs of towers, by Hugging Face's config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._config_json import Fields, image_and_patch
from jnn.models.image_text._config import ClipConfig, SiglipConfig
from jnn.models.image_text._fields import names, read, read_top, tower

# what Hugging Face's classes take where a file does not say
CLIP_TEXT: Fields = {
    **{"vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12},
    **{"num_attention_heads": 8, "max_position_embeddings": 77, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5},
    **{"eos_token_id": 49407, "projection_dim": None},
}
CLIP_VISION: Fields = {
    **{"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    **{"num_channels": 3, "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5},
    "projection_dim": None,
}
SIGLIP_TEXT: Fields = {
    **{"vocab_size": 32000, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12},
    **{"num_attention_heads": 12, "max_position_embeddings": 64, "hidden_act": "gelu_pytorch_tanh"},
    **{"layer_norm_eps": 1e-6, "projection_size": None},
}
SIGLIP_VISION: Fields = {
    **{"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    **{"num_channels": 3, "image_size": 224, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh"},
    "layer_norm_eps": 1e-6,
}


def clip_from_hf(config: Mapping[str, Any]) -> tuple[ClipConfig, dict[str, str]]:
    """CLIP, from Hugging Face's config.json: what it is, and the names of its weights.

    See "Learning Transferable Visual Models From Natural Language Supervision", Radford et al., 2021.

    Args:
      config: as a dict, of any version of `transformers`.

    Returns:
      A config for `clip`, and {path: name} for `jnn.interop.torch.load_state_dict`; the first files have more beside,
      ignore=["*position_ids"].

    Raises:
      TypeError: config is no mapping.
      ValueError: it is of another family, or has a field that is not known or asks for what is not computed.

    >>> config, names = clip_from_hf({"text_config": {}, "vision_config": {"patch_size": 16}})
    >>> config.vectors, config.end, names["image/out/*"]
    (512, 49407, 'visual_projection.*')
    """
    top = read_top("clip", config, projection_dim=512, logit_scale_init_value=None)
    texts, images = read("clip", config, "text", CLIP_TEXT), read("clip", config, "vision", CLIP_VISION)
    image, patch = image_and_patch("clip", images)
    found = ClipConfig(
        image,
        patch,
        vocab=texts["vocab_size"],
        context=texts["max_position_embeddings"],
        images=tower("clip", images),
        texts=tower("clip", texts),
        vectors=top["projection_dim"],
        end=None
        if texts["eos_token_id"] == 2
        else texts["eos_token_id"],  # the first files said 2 and meant the greatest
    )
    own = {
        "image/class": "vision_model.embeddings.class_embedding",
        "image/norm_in/*": "vision_model.pre_layrnorm.*",
        "image/out/*": "visual_projection.*",
        "text/out/*": "text_projection.*",
    }
    return found, names() | own


def siglip_from_hf(config: Mapping[str, Any]) -> tuple[SiglipConfig, dict[str, str]]:
    """SigLIP, from Hugging Face's config.json: what it is, and the names of its weights.

    See "Sigmoid Loss for Language Image Pre-Training", Zhai et al., 2023.

    Args, Returns, Raises: as `clip_from_hf`.

    >>> siglip_from_hf({"text_config": {}, "vision_config": {"image_size": 384}})[0].image
    (384, 384, 3)
    """
    read_top("siglip", config)
    texts, images = read("siglip", config, "text", SIGLIP_TEXT), read("siglip", config, "vision", SIGLIP_VISION)
    if (size := texts["projection_size"] or texts["hidden_size"]) != images["hidden_size"]:
        raise ValueError(
            f"siglip_from_hf: expected vectors of texts as wide as of images, {images['hidden_size']}, found {size}: "
            "text_config's projection_size, or hidden_size."
        )
    image, patch = image_and_patch("siglip", images)
    found = SiglipConfig(
        image,
        patch,
        vocab=texts["vocab_size"],
        context=texts["max_position_embeddings"],
        images=tower("siglip", images),
        texts=tower("siglip", texts),
    )
    head, pool = "vision_model.head", "image/pool"
    own = {
        f"{pool}/query": f"{head}.probe",
        **{f"{pool}/attention/{name}/w": f"{head}.attention.in_proj_weight[{i}/3]" for i, name in enumerate("qkv")},
        **{f"{pool}/attention/{name}/b": f"{head}.attention.in_proj_bias[{i}/3]" for i, name in enumerate("qkv")},
        f"{pool}/attention/o/*": f"{head}.attention.out_proj.*",
        f"{pool}/norm/*": f"{head}.layernorm.*",
        f"{pool}/up/*": f"{head}.mlp.fc1.*",
        f"{pool}/down/*": f"{head}.mlp.fc2.*",
        "text/out/*": "text_model.head.*",
        "logit_bias": "logit_bias",
    }
    return found, names() | own
