"""BART: the transformer of 2017 with learned positions, a norm of embedded rows, and biases everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._block_choices import ATTENTION
from jnn.models.encoder_decoders._config import EncoderDecoderConfig
from jnn.models.encoder_decoders._fields import NAMES, SIDES, read, sizes
from jnn.models.encoder_decoders._positions import LearnedPositions

SAME = {"normalize_embedding": (True,), "static_position_embeddings": (False,), "extra_pos_embeddings": (2,)}
OFFSET = 2  # rows of the table of positions that no token stands at


def bart_from_hf(config: Mapping[str, Any]) -> tuple[EncoderDecoderConfig, dict[str, str]]:
    """BART, from Hugging Face's config.json: what it is, and the names of its weights.

    See "BART: Denoising Sequence-to-Sequence Pre-training for Natural Language Generation, Translation, and
    Comprehension", Lewis et al., 2019.

    Args:
      config: as a dict, of any version of `transformers`.

    Returns:
      A config for `encoder_decoder`, and {path: name} for `jnn.interop.torch.load_state_dict`, as the class for
      conditional generation has them. A state dict may name the same weights again: ignore=["*.embed_tokens.weight",
      "lm_head.weight"].

    Raises:
      TypeError: config is no mapping.
      ValueError: it is of another family, lacks a field, or has one that is not known or asks for what is not computed.

    >>> base = {"vocab_size": 50265, "d_model": 768, "activation_function": "gelu", "max_position_embeddings": 1024}
    >>> base |= dict.fromkeys(("encoder_layers", "decoder_layers"), 6)
    >>> base |= dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 3072)
    >>> config, names = bart_from_hf(base | dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 12))
    >>> config.positions, names["out/b"]
    (LearnedPositions(context=1024, offset=2), 'final_logits_bias')
    """
    fields = read("bart", config, SAME, max_position_embeddings=..., scale_embedding=False)
    found = EncoderDecoderConfig(
        **sizes("bart", fields),
        positions=LearnedPositions(fields["max_position_embeddings"], OFFSET),
        embed_norms=True,
        bias=(*ATTENTION, "up", "down"),
        out_bias=True,
        embed_scale=None if fields["scale_embedding"] else 1.0,
    )
    return found, {
        "embed/*": "model.shared.*",
        **{f"{side}/position/*": f"model.{side}.embed_positions.*" for side in SIDES},
        **{f"{side}/embed_norm/*": f"model.{side}.layernorm_embedding.*" for side in SIDES},
        **NAMES,
        "out/b": "final_logits_bias",
    }
