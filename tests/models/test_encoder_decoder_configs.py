"""What a config.json says of an encoder-decoder: published sizes, and one clear error for what is not computed."""

import pytest

from jnn.activations import gelu, relu
from jnn.models import (
    EncoderDecoderConfig,
    LearnedPositions,
    bart_from_hf,
    encoder_decoder_from_hf,
    encoder_decoder_spec,
    marian_from_hf,
    t5_from_hf,
    whisper_from_hf,
)
from jnn.param import count_params
from tests.models.encoder_decoders import SIZES

SIDES = "encoder", "decoder"


def sized(family, vocab, embed, layers, heads, hidden, **more):
    """A config.json as BART has it, of sides that are alike."""
    own = {"layers": layers, "attention_heads": heads, "ffn_dim": hidden}
    fields = {"model_type": family, "vocab_size": vocab, "d_model": embed, "activation_function": "gelu"}
    return fields | {f"{side}_{name}": value for side in SIDES for name, value in own.items()} | more


def t5(d, hidden, layers, heads, **more):
    sizes = {"vocab_size": 32128, "d_model": d, "d_kv": 64, "d_ff": hidden, "num_layers": layers, "num_heads": heads}
    return {"model_type": "t5", **sizes, **more}


V11 = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
SOUND = {"num_mel_bins": 80, "max_source_positions": 1500, "max_target_positions": 448}
TINY = sized("bart", 11, 8, 2, 2, 12, max_position_embeddings=9)
PUBLISHED = {  # numbers of parameters, of sinusoids that are in a file, of logits' biases, which are a buffer there
    "bart-base": (sized("bart", 50265, 768, 6, 12, 3072, max_position_embeddings=1024), 139_420_416, 0, 50265),
    "bart-large": (sized("bart", 50265, 1024, 12, 16, 4096, max_position_embeddings=1024), 406_291_456, 0, 50265),
    "opus-mt-en-de": (sized("marian", 58101, 512, 6, 8, 2048, scale_embedding=True), 74_410_496, 2 * 512 * 512, 58101),
    "t5-small": (t5(512, 2048, 6, 8), 60_506_624, 0, 0),
    "t5-base": (t5(768, 3072, 12, 12), 222_903_552, 0, 0),
    "t5-v1_1-small": (t5(512, 1024, 8, 6, **V11), 76_961_152, 0, 0),
    "whisper-tiny": (sized("whisper", 51865, 384, 4, 6, 1536, **SOUND), 37_760_640, 1500 * 384, 0),
    "whisper-base.en": (sized("whisper", 51864, 512, 6, 8, 2048, **SOUND), 71_825_408, 0, 0),  # as OpenAI counts
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_as_many_parameters_as_their_files(name):
    fields, published, sinusoids, biases = PUBLISHED[name]
    assert count_params(encoder_decoder_spec(encoder_decoder_from_hf(fields)[0])) == published - sinusoids + biases


@pytest.mark.parametrize(("heads", "embed", "hidden", "millions"), [(8, 512, 2048, 65), (16, 1024, 4096, 213)])
def test_the_papers_models_have_about_as_many_parameters_as_it_says(heads, embed, hidden, millions):
    config = EncoderDecoderConfig(37_000, 6, heads, embed, hidden)
    assert count_params(encoder_decoder_spec(config)) == pytest.approx(1e6 * millions, rel=0.04)


def test_whether_t5_is_tied_is_what_the_files_of_each_version_say():
    tied = lambda **more: (
        t5_from_hf(t5(16, 8, 1, 2, **more))[0].tied,
        t5_from_hf(t5(16, 8, 1, 2, **more))[0].out_scale,
    )
    assert tied() == tied(tie_word_embeddings=True, scale_decoder_outputs=True) == (True, 0.25)
    assert tied(tie_word_embeddings=False) == tied(tie_word_embeddings=True, scale_decoder_outputs=False) == (False, 1)


def test_the_activation_of_t5_is_behind_its_gate():
    of = lambda name: t5_from_hf(t5(16, 8, 1, 2, feed_forward_proj=name))[0]
    assert (of("relu").gate, of("relu").activation) == (False, relu)
    assert (of("gated-gelu").gate, of("gated-gelu").activation) == (True, gelu)
    assert of("gated-silu") != of("gated-relu") != of("relu")


MARIAN, T5 = TINY | {"model_type": "marian"}, t5(16, 8, 1, 2)
NOT_THIS = [
    (bart_from_hf, TINY | {"normalize_before": True}, "normalize_before=True, where False is computed"),
    (bart_from_hf, TINY | {"tie_word_embeddings": False}, "tie_word_embeddings=False, where True is"),
    (bart_from_hf, TINY | {"layer_scale": 0.1}, "layer_scale=0.1 is not known"),
    (bart_from_hf, TINY | {"num_hidden_layers": 3}, "num_hidden_layers=3 and encoder_layers=2"),
    (bart_from_hf, TINY | {"activation_function": "relu2"}, "activation_function among .*found 'relu2'"),
    (bart_from_hf, MARIAN, "bart_from_hf: .*model_type='marian'"),
    (bart_from_hf, {}, "vocab_size is missing; d_model is missing;.*max_position_embeddings is missing"),
    (marian_from_hf, MARIAN | {"normalize_embedding": True}, "normalize_embedding=True, where False"),
    (marian_from_hf, MARIAN | {"decoder_vocab_size": 12}, "decoder_vocab_size=12 beside vocab_size=11"),
    (t5_from_hf, T5 | {"is_decoder": True}, "is_decoder=True, where False"),
    (t5_from_hf, T5 | {"feed_forward_proj": "gated-relu2"}, "feed_forward_proj among .*found 'relu2'"),
    (t5_from_hf, T5 | {"dense_act_fn": "gelu"}, "feed_forward_proj='relu' means .* found {'dense_act_fn': 'gelu'}"),
    (t5_from_hf, T5 | V11 | {"scale_decoder_outputs": True}, "=False and scale_decoder_outputs=True"),
    (whisper_from_hf, TINY | {"model_type": "whisper"}, "num_mel_bins is missing; max_target_positions is missing"),
    (whisper_from_hf, {**TINY, "model_type": "whisper", **SOUND, "scale_embedding": True}, "scale_embedding=True, wh"),
    (encoder_decoder_from_hf, {"model_type": "llama"}, r"model_type among \['bart', .*found 'llama'"),
]


@pytest.mark.parametrize(("read", "fields", "message"), NOT_THIS)
def test_what_is_not_computed_is_one_clear_error(read, fields, message):
    with pytest.raises(ValueError, match=message):
        read(fields)


@pytest.mark.parametrize("read", [bart_from_hf, t5_from_hf, encoder_decoder_from_hf])
def test_a_path_is_no_config(read):
    with pytest.raises(TypeError, match=r"expected config.json as a dict, found str"):
        read("config.json")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"vocab": 0}, "expected vocab of 1 or more, found 0"),
        ({"decoder_layers": 0}, "expected decoder_layers of 1 or more, found 0"),
        ({"decoder_heads": 3}, "3 heads do not divide embed="),
        ({"bias": ("qkv",)}, r"EncoderDecoderConfig: expected biases of \('q', .*'qkv'"),
        ({"bias": ("gate",)}, "a bias of the gate, .*gate=False"),
        ({"bands": 80, "source_vocab": 9}, "tokens or frames, found source_vocab=9 and bands=80"),
    ],
)
def test_bad_configs_are_one_clear_error(more, message):
    with pytest.raises(ValueError, match=message):
        EncoderDecoderConfig(**SIZES | more)


def test_bad_positions_are_one_clear_error():
    with pytest.raises(ValueError, match="LearnedPositions: expected context of 1 or more, found 0"):
        LearnedPositions(0)
