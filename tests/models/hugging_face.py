"""Hugging Face's own models, tiny and drawn at random, as an oracle; in float64 throughout."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jnn.data import read_safetensors

VOCABULARY: dict[str, Any] = {"vocab_size": 40, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
SHAPE = VOCABULARY | {
    **{"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "max_position_embeddings": 64},
    **{"num_attention_heads": 4, "num_key_value_heads": 2},
}
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}

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
    "phi4-partial": ("Phi3", {"partial_rotary_factor": 0.75, "num_key_value_heads": 4}),
}


@contextlib.contextmanager
def in_double() -> Iterator[None]:
    """Float64 for what Hugging Face's code computes in `torch.float32`, whatever it is given: norms and rotations."""
    import torch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "float32", torch.float64)
        patch.setattr(torch, "float", torch.float64)
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
    fields = VOCABULARY | own if family == "GPT2" else SHAPE | own
    of_text = {"GPT2": "GPT2LMHeadModel"}.get(family, f"{family}ForCausalLM")
    return drawn(of_text, f"{family}Config", fields, seed)


def drawn(name: str, config: str, fields: dict[str, Any], seed: int = 0) -> Any:
    """A model of this class, of this config."""
    import torch
    import transformers

    torch.manual_seed(seed)
    of_class, settings = getattr(transformers, name), getattr(transformers, config)(**fields)
    model = of_class._from_config(settings, attn_implementation="eager").eval()
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


def weights_of(model: Any) -> dict[str, np.ndarray]:
    """As its file of safetensors has them."""
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    return {name: x.detach().numpy() for name, x in model.state_dict().items() if name not in tied}
