"""Fields of Hugging Face's config.json, read so that nothing which changes a value is passed over.

    known_fields("bert", config, KNOWN, SAME) -> fields         of the model's own class
    ACTIVATIONS[name] -> function                               as these files name them

Law: a field that is not known here, or that asks for what is not computed, is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax

from jnn.activations import gelu, silu

Fields = dict[str, Any]
NO_VALUE = {  # fields on which no logit depends
    *("architectures", "auto_map", "model_type", "transformers_version", "torch_dtype", "dtype", "_name_or_path"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "use_cache", "cache_implementation", "initializer_range"),
    *("max_position_embeddings", "original_max_position_embeddings", "pretraining_tp", "chunk_size_feed_forward"),
    *("return_dict", "output_hidden_states", "output_attentions", "problem_type", "id2label", "label2id"),
    *("is_llama_config", "transformers.js_config", "reorder_and_upcast_attn", "n_ctx", "task_specific_params"),
    *("output_router_logits", "router_aux_loss_coef"),
    *("summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj"),
}
exact_gelu = partial(gelu, approximate=False)
ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "silu": silu,
    "swish": silu,
    "gelu": exact_gelu,
    "gelu_pytorch_tanh": gelu,
}


def known_fields(family: str, config: Mapping[str, Any], known: Fields, same: Mapping[str, tuple[Any, ...]]) -> Fields:
    """What a config says of the fields that are known; what these are where it says nothing, ... where it has to.

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
    if (kind := config.get("model_type", family)) != family:
        problems.insert(0, f"model_type={kind!r}")
    if problems:
        raise ValueError(f"{family}_from_hf: this config is not one of {family}'s: {'; '.join(problems)}.")
    return known | {name: value for name, value in config.items() if name in known}
