"""Fields of Hugging Face's config.json, read so that nothing which changes a value is passed over.

    family_of("encoder_from_hf", config, FAMILIES) -> family    by its "model_type"
    known_fields("bert", config, KNOWN, SAME) -> fields         of the model's own class
    activation_of("bert", "hidden_act", fields) -> function     as these files name them
    image_and_patch("vit", fields) -> (y, x, c), patch          of images and their squares

Law: a field that is not known here, or that asks for what is not computed, is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import jax

from jnn.activations import gelu, quick_gelu, relu, silu

Fields = dict[str, Any]
Family = TypeVar("Family")
NO_VALUE = {  # fields on which no logit depends
    *("architectures", "auto_map", "model_type", "transformers_version", "torch_dtype", "dtype", "_name_or_path"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "use_cache", "cache_implementation", "initializer_range"),
    *("max_position_embeddings", "original_max_position_embeddings", "pretraining_tp", "chunk_size_feed_forward"),
    *("return_dict", "output_hidden_states", "output_attentions", "problem_type", "id2label", "label2id"),
    *("is_llama_config", "transformers.js_config", "reorder_and_upcast_attn", "n_ctx", "task_specific_params"),
    *("output_router_logits", "router_aux_loss_coef"),
    *("initializer_factor", "torchscript", "use_bfloat16", "tf_legacy_loss", "tokenizer_class", "prefix"),
    "_attn_implementation_autoset",
    *("sep_token_id", "decoder_start_token_id", "finetuning_task", "num_labels", "gradient_checkpointing"),
    # of drawing text, which `generate` is told
    *("max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty"),
    *("temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "bad_words_ids"),
    *("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "num_return_sequences", "output_scores"),
    *("return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values"),
    *("exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens"),
    *("summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj"),
    *(
        "_num_labels",
        "output_past",
        "n_positions",
        "save_step",
        "forced_decoder_ids",
        "force_bos_token_to_be_generated",
    ),
}
exact_gelu = partial(gelu, approximate=False)
ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "silu": silu,
    "swish": silu,
    "gelu": exact_gelu,
    "gelu_new": gelu,
    "gelu_pytorch_tanh": gelu,
    "quick_gelu": quick_gelu,
    "relu": relu,
}


def family_of(name: str, config: Mapping[str, Any], families: Mapping[str, Family]) -> Family:
    """The one of these families that a config is of.

    Raises:
      TypeError: config is no mapping.
      ValueError: it is of another.
    """
    if not isinstance(config, Mapping):
        raise TypeError(f"{name}: expected config.json as a dict, found {type(config).__name__}.")
    if (kind := config.get("model_type", "")) not in families:
        raise ValueError(f"{name}: expected model_type among {sorted(families)}, found {kind!r}.")
    return families[kind]


def known_fields(
    family: str,
    config: Mapping[str, Any],
    known: Fields,
    same: Mapping[str, tuple[Any, ...]],
    *,
    part: str | None = None,
) -> Fields:
    """What a config says of the fields that are known; what these are where it says nothing, ... where it has to.

    Args:
      family: what its model_type is.
      config: as a dict.
      known: fields, and what they are by default.
      same: fields, and the values that are computed.
      part: which part of the family's config this is, "text" or "vision".

    Raises:
      TypeError: config is no mapping.
      ValueError: it is of another family, lacks a field, or has one that is not known or asks for something else.
    """
    if not isinstance(config, Mapping):
        raise TypeError(
            f"{family}_from_hf: expected config.json as a dict, found {type(config).__name__}: json.loads(text), or "
            "config.to_dict()."
        )
    problems = [f"{name} is missing" for name, value in known.items() if value is ... and name not in config]
    for name, value in config.items():
        if name in same and value not in same[name]:
            problems.append(f"{name}={value!r}, where {same[name][0]!r} is computed")
        elif name not in {*known, *same, *NO_VALUE}:
            problems.append(f"{name}={value!r} is not known")
    wanted = family if part is None else f"{family}_{part}_model"
    if (kind := config.get("model_type", wanted)) != wanted:
        problems.insert(0, f"model_type={kind!r}")
    if problems:
        raise ValueError(f"{family}_from_hf: this config is not one of {wanted}'s: {'; '.join(problems)}.")
    return known | {name: value for name, value in config.items() if name in known}


def activation_of(family: str, name: str, fields: Fields) -> Callable[[jax.Array], jax.Array]:
    """The activation that a field names.

    Raises:
      ValueError: there is none of this name.
    """
    if (found := fields[name]) not in ACTIVATIONS:
        raise ValueError(f"{family}_from_hf: expected {name} among {sorted(ACTIVATIONS)}, found {found!r}.")
    return ACTIVATIONS[found]


def image_and_patch(family: str, fields: Fields) -> tuple[tuple[int, int, int], int]:
    """The shape (y, x, c) of an image, and the size of its square patches.

    Raises:
      ValueError: patches are no squares.
    """
    (y, x), (high, wide) = (
        (n, n) if isinstance(n, int) else tuple(n) for n in (fields["image_size"], fields["patch_size"])
    )
    if high != wide:
        raise ValueError(f"{family}_from_hf: expected square patches, found patch_size={(high, wide)}.")
    return (y, x, fields["num_channels"]), high
