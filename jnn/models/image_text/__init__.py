"""Images and texts in one space of vectors: two towers, and what their published pairs are; the door is `jnn.models`.

clip_spec(config), clip(p, images, tokens, config) -> (images' vectors, texts' vectors)     and `siglip`
similarity_logits(p, images, texts)                                                         of either
clip_from_hf(config) -> (config, names)                                                     and `siglip_from_hf`
"""

from jnn.models.image_text._clip import clip, clip_images, clip_spec, clip_texts, similarity_logits
from jnn.models.image_text._config import ClipConfig, SiglipConfig, TowerConfig
from jnn.models.image_text._published import clip_from_hf, siglip_from_hf
from jnn.models.image_text._siglip import siglip, siglip_images, siglip_spec, siglip_texts

__all__ = [
    "ClipConfig",
    "SiglipConfig",
    "TowerConfig",
    "clip",
    "clip_from_hf",
    "clip_images",
    "clip_spec",
    "clip_texts",
    "siglip",
    "siglip_from_hf",
    "siglip_images",
    "siglip_spec",
    "siglip_texts",
    "similarity_logits",
]
