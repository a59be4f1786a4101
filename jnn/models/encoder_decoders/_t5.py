"""T5: RMS norms before each branch, relative positions as biases of attention, scores as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._config_json import Fields, activation_of, known_fields
from jnn.models.encoder_decoders._config import EncoderDecoderConfig
from jnn.models.encoder_decoders._positions import RelativePositions

KNOWN: Fields = {
    **dict.fromkeys(("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads"), ...),
    **{"num_decoder_layers": None, "feed_forward_proj": "relu", "layer_norm_epsilon": 1e-6},
    **{"relative_attention_num_buckets": 32, "relative_attention_max_distance": 128},
    **{"tie_word_embeddings": True, "scale_decoder_outputs": None, "dense_act_fn": None, "is_gated_act": None},
    **dict.fromkeys(("dropout_rate", "classifier_dropout", "initializer_factor")),  # of training, where a rate says it
}
SAME = {"is_encoder_decoder": (True,), "is_decoder": (False,)}
GATED = "gated-"


def t5_from_hf(config: Mapping[str, Any]) -> tuple[EncoderDecoderConfig, dict[str, str]]:
    """T5, from Hugging Face's config.json: what it is, and the names of its weights.

    See "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", Raffel et al., 2020; of
    T5 1.1, which Flan-T5 is too, "GLU Variants Improve Transformer", Shazeer, 2020.

    Args, Returns, Raises: as `bart_from_hf`; of a state dict ignore "*.embed_tokens.weight", "lm_head.weight" only
    where the config is tied, and "*.EncDecAttention.relative_attention_bias.weight", which nothing reads.

    >>> small = {"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8}
    >>> config, names = t5_from_hf(small)
    >>> config.tied, names["encoder/blocks/attention/*/*"]
    (True, 'encoder.block.{i}.layer.0.SelfAttention.*.*')
    """
    fields = known_fields("t5", config, KNOWN, SAME)
    gate, tied = fields["feed_forward_proj"].startswith(GATED), _tied(fields)
    found = EncoderDecoderConfig(
        vocab=fields["vocab_size"],
        layers=fields["num_layers"],
        heads=fields["num_heads"],
        embed=fields["d_model"],
        hidden=fields["d_ff"],
        decoder_layers=fields["num_decoder_layers"],
        head=fields["d_kv"],
        positions=RelativePositions(
            fields["relative_attention_num_buckets"], fields["relative_attention_max_distance"]
        ),
        pre_norm=True,
        rms_norms=True,
        gate=gate,
        bias=(),
        tied=tied,
        activation=activation_of("t5", "feed_forward_proj", {"feed_forward_proj": _activation(fields)}),
        epsilon=fields["layer_norm_epsilon"],
        embed_scale=1.0,
        score_scale=1.0,
        out_scale=fields["d_model"] ** -0.5 if tied else 1.0,
    )
    return found, {
        "embed/*": "shared.*",
        **_names("encoder", "blocks/attention", "SelfAttention", 0, "norm1"),
        **_names("decoder", "blocks/attention", "SelfAttention", 0, "norm1"),
        **_names("decoder", "blocks/cross", "EncDecAttention", 1, "norm_cross"),
        **_fed("encoder", 1, gate),
        **_fed("decoder", 2, gate),
        **({} if tied else {"out/*": "lm_head.*"}),
    }


def _tied(fields: Fields) -> bool:
    """Whether the read-out is tied, and so scaled: later versions always write "tied", and of the scale the truth.

    Raises:
      ValueError: one field says that it is, the other that it is not.
    """
    tied, scaled = fields["tie_word_embeddings"], fields["scale_decoder_outputs"]
    if scaled and not tied:
        raise ValueError(f"t5_from_hf: found tie_word_embeddings={tied} and scale_decoder_outputs={scaled}.")
    return bool(tied if scaled is None else scaled)


def _activation(fields: Fields) -> str:
    """The name of the activation; what is called "gated-gelu" is its approximation.

    Raises:
      ValueError: what a later version makes of that name is another.
    """
    said = fields["feed_forward_proj"]
    name = "gelu_new" if said == "gated-gelu" else said.removeprefix(GATED)
    made = {"dense_act_fn": name, "is_gated_act": said.startswith(GATED)}
    if other := {field: fields[field] for field in made if fields[field] not in (None, made[field])}:
        raise ValueError(f"t5_from_hf: feed_forward_proj={said!r} means {made}, found {other}.")
    return str(name)


def _names(side: str, ours: str, theirs: str, at: int, norm: str) -> dict[str, str]:
    """Names of attention and its norm."""
    layer = f"{side}.block.{{i}}.layer.{at}"
    shared = {f"{side}/position/*": f"{side}.block.0.layer.0.{theirs}.relative_attention_bias.*"}
    return {
        **(shared if at == 0 else {}),
        f"{side}/{ours}/*/*": f"{layer}.{theirs}.*.*",
        f"{side}/blocks/{norm}/*": f"{layer}.layer_norm.*",
    }


def _fed(side: str, at: int, gate: bool) -> dict[str, str]:
    """Names of the feed-forward network, its norm and the last one."""
    layer = f"{side}.block.{{i}}.layer.{at}"
    inward = {"gate": "wi_0", "up": "wi_1"} if gate else {"up": "wi"}
    maps = {f"{side}/blocks/{ours}/*": f"{layer}.DenseReluDense.{name}.*" for ours, name in inward.items()}
    return maps | {
        f"{side}/blocks/down/*": f"{layer}.DenseReluDense.wo.*",
        f"{side}/blocks/norm2/*": f"{layer}.layer_norm.*",
        f"{side}/norm/*": f"{side}.final_layer_norm.*",
    }
