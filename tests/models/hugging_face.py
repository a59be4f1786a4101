"""Hugging Face's own models, tiny and drawn at random, as an oracle; in float64 throughout."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jnn import models
from jnn.data import read_safetensors

VOCABULARY: dict[str, Any] = {"vocab_size": 40, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
SHAPE = VOCABULARY | {
    **{"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "max_position_embeddings": 64},
    **{"num_attention_heads": 4, "num_key_value_heads": 2},
}
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LONG = {"rope_type": "longrope", "short_factor": [1.0, 1.5, 2.0, 2.0], "long_factor": [1.0, 2.0, 4.0, 9.0]}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
STATES = {"hidden_size": 16, "num_hidden_layers": 3, "num_heads": 4, "head_dim": 8, "state_size": 6, "chunk_size": 4}

# a case: the family's class, and what differs from SHAPE
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "smollm2": ("Llama", {"tie_word_embeddings": True, "rms_norm_eps": 1e-5, "rope_theta": 100_000.0}),
    "llama3": ("Llama", {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 16}, "rope_theta": 500_000.0}),
    "llama-linear": ("Llama", {"rope_scaling": {"rope_type": "linear", "factor": 2.0}, "mlp_bias": True}),
    "llama-biased": ("Llama", {"attention_bias": True, "head_dim": 16, "num_key_value_heads": 4}),
    "mistral": ("Mistral", {"sliding_window": 5, "rms_norm_eps": 1e-5}),
    "mistral-whole": ("Mistral", {"sliding_window": None, "head_dim": 16}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True, "rope_theta": 1e6}),
    "qwen2-yarn": ("Qwen2", {"rope_scaling": YARN}),
    "qwen2-windows": ("Qwen2", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 2}),
    "qwen3": ("Qwen3", {"head_dim": 16, "rope_theta": 1e6}),
    "gemma": ("Gemma", {"head_dim": 16, "num_key_value_heads": 1}),
    "gemma2": ("Gemma2", {"head_dim": 16, "sliding_window": 5, "query_pre_attn_scalar": 8}),
    "phi3": ("Phi3", {"sliding_window": 5}),
    "gpt2": ("GPT2", {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}),
    "mixtral": ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2, "rms_norm_eps": 1e-5}),
    "mixtral-window": ("Mixtral", {"num_local_experts": 3, "num_experts_per_tok": 1, "sliding_window": 5}),
    "olmoe": ("Olmoe", {"num_experts": 8, "num_experts_per_tok": 3, "rms_norm_eps": 1e-5}),
    "olmoe-normalized": ("Olmoe", {"num_experts": 4, "num_experts_per_tok": 4, "norm_topk_prob": True}),
    "qwen2-moe": ("Qwen2Moe", EXPERTS | {"shared_expert_intermediate_size": 20}),
    "qwen3-moe": ("Qwen3Moe", EXPERTS | {"head_dim": 16, "norm_topk_prob": True}),
    "phi3-long": ("Phi3", {"rope_scaling": LONG, "original_max_position_embeddings": 8}),
    "phi3-short": ("Phi3", {"rope_scaling": LONG, "original_max_position_embeddings": 40}),
    "llama-dynamic": ("Llama", {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 8}),
    "mamba2": ("Mamba2", STATES | {"n_groups": 1, "tie_word_embeddings": True}),
    "mamba2-groups": ("Mamba2", STATES | {"n_groups": 2, "use_conv_bias": False, "conv_kernel": 3}),
    "phi4-partial": ("Phi3", {"partial_rotary_factor": 0.75, "num_key_value_heads": 4}),
}


def fields_of(case: str) -> dict[str, Any]:
    """A config.json of a case, which needs no `transformers`."""
    family, own = CASES[case]
    name = {"Qwen2Moe": "qwen2_moe", "Qwen3Moe": "qwen3_moe"}.get(family, family.lower())
    if family in ("GPT2", "Mamba2"):
        return VOCABULARY | own | {"model_type": name}
    caps = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0} if family == "Gemma2" else {}
    act = "gelu_pytorch_tanh" if "Gemma" in family else "silu"
    return SHAPE | {"hidden_act": act, "rms_norm_eps": 1e-6, "model_type": name} | caps | own


def published(fields: dict[str, Any], dtype: Any) -> tuple[Any, Any, Any, Any]:
    """Of a config.json the spec, the names of its weights, the function, and the model that `generate` takes."""
    if fields["model_type"] == "gpt2":
        sizes, names = models.gpt2_from_hf(fields)
        run = lambda p, tokens: models.transformer(p, tokens, key=None)
        return models.transformer_spec(**sizes, dtype=dtype), names, run, models.TRANSFORMER
    if fields["model_type"] == "mamba2":
        sizes, names = models.mamba2_from_hf(fields)
        run = lambda p, tokens: models.mamba2_decoder(p, tokens, key=None)
        return models.mamba2_decoder_spec(**sizes, dtype=dtype), names, run, models.MAMBA2
    config, names = models.decoder_from_hf(fields)
    config = config.for_length(
        12 if isinstance(config.rope_scaling, models.DynamicScaling) else 32
    )  # theirs are of each length by itself
    run = lambda p, tokens: models.decoder(p, tokens, config, key=None)
    return models.decoder_spec(config, dtype=dtype), names, run, models.decoder_model(config)


@contextlib.contextmanager
def in_double() -> Iterator[None]:
    """Float64 for what Hugging Face's code computes in `torch.float32`, whatever it is given: norms and rotations."""
    import torch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "float32", torch.float64)
        patch.setattr(torch, "float", torch.float64)
        patch.setattr(torch, "FloatTensor", torch.DoubleTensor)
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def model_of(case: str, seed: int = 0) -> Any:
    """A model of Hugging Face's with weights that all matter: biases and scales are moved off their initial values."""
    family, own = CASES[case]
    fields = VOCABULARY | own if family in ("GPT2", "Mamba2") else SHAPE | own
    of_text = {"GPT2": "GPT2LMHeadModel"}.get(family, f"{family}ForCausalLM")
    return drawn(of_text, f"{family}Config", fields, seed, experts_implementation="eager")


def drawn(name: str, config: str, fields: dict[str, Any], seed: int = 0, **how: Any) -> Any:
    """A model of this class, of this config."""
    import torch
    import transformers

    torch.manual_seed(seed)
    of_class, settings = getattr(transformers, name), getattr(transformers, config)(**fields)
    model = of_class._from_config(settings, attn_implementation="eager", **how).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def saved(model: Any) -> dict[str, np.ndarray]:
    """What it writes into a file of safetensors; the names differ from those of its modules."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return {name: np.array(x) for name, x in read_safetensors(Path(folder) / "model.safetensors").items()}


def gradients(model: Any, output: Any, direction: np.ndarray) -> dict[str, np.ndarray]:
    """Of a projection of its output, by the names of the file; they take the place of the weights."""
    import torch

    (output * torch.tensor(direction)).sum().backward()
    for parameter in model.parameters():
        parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    return saved(model)
