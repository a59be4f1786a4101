"""What a config.json says of a decoder: published sizes, windows, and one clear error for what is not computed."""

import pytest

from jnn.models import (
    DecoderConfig,
    decoder_from_hf,
    decoder_spec,
    gemma2_from_hf,
    gpt2_from_hf,
    llama_from_hf,
    mamba2_decoder_spec,
    mamba2_from_hf,
    mixtral_from_hf,
    olmoe_from_hf,
    phi3_from_hf,
    qwen2_from_hf,
    qwen3_moe_from_hf,
)
from jnn.param import count_params
from tests.models.decoders import TINY


def sized(family, *numbers, head=None, **more):
    """A config.json of a published model, as far as its number of parameters is concerned."""
    fields = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads"
    head_dim = {} if head is None else {"head_dim": head}
    act = {"hidden_act": "gelu_pytorch_tanh" if "gemma" in family else "silu", "rms_norm_eps": 1e-6}
    return {"model_type": family, **dict(zip(fields.split(), numbers, strict=True)), **act, **head_dim, **more}


CAPS = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "query_pre_attn_scalar": 256}
LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, "factor": 8.0}
SHARED = {"moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632, "norm_topk_prob": False}
PUBLISHED = {
    "Llama-2-7b": (sized("llama", 32000, 4096, 11008, 32, 32, 32), 6_738_415_616),
    "Llama-3.1-8B": (
        sized(
            *("llama", 128256, 4096, 14336, 32, 32, 8),
            rope_scaling=LLAMA3 | {"original_max_position_embeddings": 8192},
        ),
        8_030_261_248,
    ),
    "SmolLM2-135M": (sized("llama", 49152, 576, 1536, 30, 9, 3, tie_word_embeddings=True), 134_515_008),
    "Mistral-7B": (sized("mistral", 32000, 4096, 14336, 32, 32, 8, sliding_window=4096), 7_241_732_096),
    "Qwen2-0.5B": (sized("qwen2", 151936, 896, 4864, 24, 14, 2, tie_word_embeddings=True), 494_032_768),
    "Qwen3-0.6B": (sized("qwen3", 151936, 1024, 3072, 28, 16, 8, head=128, tie_word_embeddings=True), 596_049_920),
    "gemma-2b": (sized("gemma", 256000, 2048, 16384, 18, 8, 1, head=256), 2_506_172_416),
    "gemma-2-2b": (sized("gemma2", 256000, 2304, 9216, 26, 8, 4, head=256, sliding_window=4096, **CAPS), 2_614_341_888),
    "Mixtral-8x7B": (
        sized("mixtral", 32000, 4096, 14336, 32, 32, 8, num_local_experts=8, num_experts_per_tok=2),
        46_702_792_704,
    ),
    "OLMoE-1B-7B": (
        sized("olmoe", 50304, 2048, 1024, 16, 16, 16, num_experts=64, num_experts_per_tok=8, clip_qkv=None),
        6_919_161_856,
    ),
    "Qwen1.5-MoE-A2.7B": (
        sized("qwen2_moe", 151936, 2048, 5632, 24, 16, 16, **SHARED, num_experts=60, num_experts_per_tok=4),
        14_315_784_192,
    ),
    "Qwen3-30B-A3B": (
        sized(
            *("qwen3_moe", 151936, 2048, 6144, 48, 32, 4),
            **{"head": 128, "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
        ),
        30_532_122_624,
    ),
    "Phi-3-mini-4k": (sized("phi3", 32064, 3072, 8192, 32, 32, 32, sliding_window=2047), 3_821_079_552),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_as_many_parameters_as_their_files(name):
    fields, published = PUBLISHED[name]
    assert count_params(decoder_spec(decoder_from_hf(fields)[0])) == published


def test_mamba2_130m_has_as_many_parameters_as_its_file():
    assert count_params(mamba2_decoder_spec(**mamba2_from_hf(MAMBA2)[0])) == 128_989_632


def test_windows_are_the_shortest_period_of_the_layers():
    fields = TINY | {"num_hidden_layers": 4, "use_sliding_window": True, "sliding_window": 3}
    windows = lambda **more: qwen2_from_hf(fields | more)[0].windows
    assert windows(max_window_layers=2) == (None, None, 3, 3)
    assert windows(max_window_layers=0) == (3,)
    assert windows(max_window_layers=2, use_sliding_window=False) == (None,)
    assert windows(layer_types=["sliding_attention", "full_attention"] * 2) == (3, None)


MAMBA2 = {
    **{"vocab_size": 50288, "hidden_size": 768, "num_hidden_layers": 24, "num_heads": 24, "head_dim": 64},
    **{"state_size": 128, "n_groups": 1, "tie_word_embeddings": True, "residual_in_fp32": True},
}
MIXTRAL = TINY | {"num_local_experts": 4, "num_experts_per_tok": 2}
EXPERTS = TINY | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 6}
NOT_THIS = [
    ({"rope_scaling": {"type": "ntk", "factor": 2.0}}, r"expected one type of \['dynamic', .*found \['ntk'\]"),
    ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_scaling of dynamic: expected .*found {'factor': 2.0}"),
    ({"rope_scaling": {"type": "longrope", "long_factor": [1]}}, "of longrope: expected .*found {'long_factor'"),
    ({"rope_scaling": {"rope_type": "llama3", "factor": 2.0}}, "rope_scaling of llama3: expected .*found {'factor'"),
    ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "beta": 1}}, r"found \['beta'\], too"),
    ({"attention_dropout": 0.1}, "attention_dropout=0.1, where 0 is computed"),
    ({"quantization_config": {"bits": 4}}, "quantization_config={'bits': 4} is not known"),
    ({"hidden_act": "relu2"}, "expected hidden_act among .*found 'relu2'"),
    ({"model_type": "mistral", "sliding_window": 3}, "model_type='mistral'; sliding_window=3 is"),
]


def test_rates_that_hang_on_the_length_are_those_of_the_one_that_is_said():
    """Phi-3's of 128k tokens: factors of its own where sequences are longer than those first seen, a scale in both."""
    factors = {"type": "longrope", "short_factor": [1.0, 2.0], "long_factor": [3.0, 4.0]}
    more = {"hidden_size": 16, "rope_theta": 1e4, "rope_scaling": factors, "original_max_position_embeddings": 4096}
    config, _ = phi3_from_hf(TINY | more | {"max_position_embeddings": 131072})
    assert config.rope_scaling.scale == pytest.approx((1 + 5 / 12) ** 0.5)
    rates = lambda tokens: config.for_length(tokens).rope_scaling.rates(4, 1e4).tolist()
    assert rates(4096) == pytest.approx([1.0, 0.01 / 2])
    assert rates(4097) == pytest.approx([1 / 3, 0.01 / 4])
    with pytest.raises(ValueError, match=r"rope_scaling of longrope: rates hang on .*config.for_length\(tokens\)"):
        config.rope_scaling.rates(4, 1e4)
    with pytest.raises(ValueError, match="LongScaling: expected 4 factors, one for each pair, found 2"):
        config.for_length(8).rope_scaling.rates(8, 1e4)


@pytest.mark.parametrize(("more", "message"), NOT_THIS)
def test_what_is_not_computed_is_one_clear_error(more, message):
    with pytest.raises(ValueError, match=f"llama_from_hf: .*{message}"):
        llama_from_hf(TINY | more)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: llama_from_hf("config.json"), TypeError, "expected config.json as a dict, found str"),
        (lambda: decoder_from_hf(["llama"]), TypeError, "expected config.json as a dict, found list"),
        (lambda: llama_from_hf({}), ValueError, "vocab_size is missing; hidden_size is missing;"),
        (
            lambda: qwen2_from_hf(TINY | {"layer_types": ["full"] * 2}),
            ValueError,
            r"expected layer_types, 2 of \('full",
        ),
        (lambda: gemma2_from_hf(TINY), ValueError, "head_dim is missing; attn_logit_softcapping is missing"),
        (
            lambda: qwen2_from_hf(TINY | {"use_sliding_window": True, "sliding_window": 3}),
            ValueError,
            "a sliding_window of 3 needs max_window_layers",
        ),
        (
            lambda: gpt2_from_hf({"activation_function": "relu"}),
            ValueError,
            "activation_function='relu', where 'gelu_new",
        ),
        (lambda: phi3_from_hf(TINY | {"num_key_value_heads": 3}), ValueError, "3 key and value heads do not divide 4"),
        (lambda: DecoderConfig(11, 3, 2, 8, 8, windows=(2, None)), ValueError, "divides the 3 layers"),
        (lambda: DecoderConfig(11, 2, 3, 8, 8), ValueError, "3 heads do not divide embed=8"),
        (lambda: DecoderConfig(11, 2, 2, 8, 8, bias=("qkv",)), ValueError, r"expected biases of \('q', .*'qkv'"),
        (lambda: mixtral_from_hf(TINY), ValueError, "num_local_experts is missing; num_experts_per_tok is missing"),
        (
            lambda: mixtral_from_hf(MIXTRAL | {"router_jitter_noise": 0.1}),
            ValueError,
            "router_jitter_noise=0.1, where 0",
        ),
        (lambda: mixtral_from_hf(MIXTRAL | {"num_experts_per_tok": 5}), ValueError, r"in 1..4, the number of experts"),
        (lambda: olmoe_from_hf(EXPERTS | {"clip_qkv": 8.0}), ValueError, "clip_qkv=8.0, where None is computed"),
        (
            lambda: qwen3_moe_from_hf(EXPERTS | {"head_dim": 4, "mlp_only_layers": [1]}),
            ValueError,
            r"mlp_only_layers=\[1\], where \[\] is computed",
        ),
        (
            lambda: qwen3_moe_from_hf(EXPERTS | {"head_dim": 4, "use_sliding_window": True}),
            ValueError,
            "a sliding window, where none is computed",
        ),
        (lambda: mamba2_from_hf(MAMBA2 | {"use_bias": True}), ValueError, "use_bias=True, where False is computed"),
        (lambda: mamba2_from_hf(MAMBA2 | {"expand": 4}), ValueError, r"= expand \* hidden_size, found 24 \* 64 and 4"),
        (
            lambda: DecoderConfig(11, 2, 2, 8, 8, bias=("up",), experts=2),
            ValueError,
            r"biases of \('q', 'k', 'v', 'o'\)",
        ),
        (
            lambda: DecoderConfig(11, 2, 2, 8, 8, shared_expert=4),
            ValueError,
            "found a shared_expert where there are no",
        ),
        (lambda: DecoderConfig(0, 2, 2, 8, 8), ValueError, "expected vocab of 1 or more, found 0"),
    ],
)
def test_bad_configs_are_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
