"""CLIP, SigLIP and published vision transformers: what texts see, sizes, parallelism, bad input and configs.

(Against Hugging Face's own: `test_hugging_face_vision`.)
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnn.losses import clip_loss, siglip_loss
from jnn.models import (
    ClipConfig,
    SiglipConfig,
    TowerConfig,
    clip,
    clip_from_hf,
    clip_images,
    clip_spec,
    clip_texts,
    deit_from_hf,
    deit_spec,
    siglip,
    siglip_from_hf,
    siglip_spec,
    siglip_texts,
    similarity_logits,
    vit_from_hf,
    vit_spec,
)
from jnn.param import count_params
from jnn.train import LossOutput
from tests.models.decoders import numbers
from tests.models.meshes import assert_trains_as_on_one_device

TOWER = TowerConfig(layers=2, heads=2, embed=8, hidden=12)
PAIR = {"image": (8, 8, 1), "patch": 4, "vocab": 11, "context": 6, "images": TOWER, "texts": TOWER}
CLIP, SIGLIP = ClipConfig(**PAIR, vectors=5, end=9), SiglipConfig(**PAIR)


def test_a_text_ends_where_clip_reads_it_out_and_siglip_sees_all():
    texts = np.array([[3, 1, 9, 0, 0, 0], [3, 1, 9, 7, 9, 2], [3, 1, 2, 9, 0, 0]])

    @jax.jit
    def run(p, q):
        ends = [clip_texts(p, texts, ClipConfig(**PAIR, vectors=5, end=end)) for end in (9, None)]
        return *ends, siglip_texts(q, texts, SIGLIP)

    one, greatest, other = map(np.asarray, run(numbers(clip_spec(CLIP)), numbers(siglip_spec(SIGLIP))))
    np.testing.assert_allclose(one[0], one[1], atol=1e-6)
    assert np.abs(one[0] - one[2]).max() > 1e-3
    np.testing.assert_allclose(greatest, one, atol=1e-6)  # 9 is the greatest there is
    assert np.abs(other[0] - other[1]).max() > 1e-3


def test_vectors_have_length_one_and_logits_are_scaled_cosines():
    p, tokens = numbers(siglip_spec(SIGLIP)), np.arange(12).reshape(2, 6) % 11
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)

    @jax.jit
    def run(p):
        vectors = siglip(p, x, tokens, SIGLIP)
        return *vectors, similarity_logits(p, *vectors)

    images, texts, logits = map(np.asarray, run(p))
    for vectors in (images, texts):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, rtol=1e-5)
    wanted = np.exp(p["logit_scale"]) * images @ texts.T + np.asarray(p["logit_bias"])
    np.testing.assert_allclose(logits, wanted, rtol=1e-5)


def of_clip(p, batch, config):
    images, texts = clip(p, batch["x"], batch["tokens"], config)
    return clip_loss(images, texts, jnp.exp(p["logit_scale"]))


def of_siglip(p, batch, config):
    images, texts = siglip(p, batch["x"], batch["tokens"], config)
    return siglip_loss(images, texts, jnp.exp(p["logit_scale"]), p["logit_bias"])


WIDE = TowerConfig(layers=4, heads=4, embed=32, hidden=64)
SIZES = {"image": (8, 8, 1), "patch": 2, "vocab": 64, "context": 8, "images": WIDE, "texts": WIDE}
PAIRS = {
    "clip": (ClipConfig(**SIZES, vectors=16), clip_spec, of_clip),
    "siglip": (SiglipConfig(**SIZES), siglip_spec, of_siglip),
}


@pytest.mark.slow
@pytest.mark.parametrize("text", ["fsdp=8", "data=2,fsdp=2,tensor=2", "stage=2,data=4"])
@pytest.mark.parametrize("pair", PAIRS)
def test_training_on_every_mesh_is_that_of_one_device(pair, text):
    (config, declare, cost), rng = PAIRS[pair], np.random.default_rng(0)
    spec, optimizer = declare(config), optax.adamw(1e-2)
    images = rng.normal(size=(16, 8, 8, 1)).astype(np.float32)
    data = {"x": images, "tokens": rng.integers(0, 64, (16, 8)).astype(np.int32)}
    loss = lambda p, batch, ctx: LossOutput(cost(p, batch, config))
    assert_trains_as_on_one_device(text, spec, loss, optimizer, data)


VIT = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
VIT |= {"num_labels": 1000}
LARGE = {
    "projection_dim": 768,
    "text_config_dict": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    "vision_config_dict": {
        **{"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16},
        "patch_size": 14,
    },
}
SO400M = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
PUBLISHED = {
    "vit-base-patch16-224": (lambda: vit_spec(**vit_from_hf(VIT)[0]), 86_567_656),
    "deit-base-distilled-patch16-224": (lambda: deit_spec(**deit_from_hf(VIT)[0]), 87_338_192),
    "clip-vit-base-patch32": (lambda: clip_spec(clip_from_hf({})[0]), 151_277_313),
    "clip-vit-base-patch16": (lambda: clip_spec(clip_from_hf({"vision_config": {"patch_size": 16}})[0]), 149_620_737),
    "clip-vit-large-patch14": (lambda: clip_spec(clip_from_hf(LARGE)[0]), 427_616_513),
    "siglip-base-patch16-224": (lambda: siglip_spec(siglip_from_hf({})[0]), 203_155_970),
    "siglip-so400m-patch14-384": (
        lambda: siglip_spec(
            siglip_from_hf({"text_config": SO400M, "vision_config": SO400M | {"image_size": 384, "patch_size": 14}})[0]
        ),
        877_960_498,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_as_many_parameters_as_their_files(name):
    spec, published = PUBLISHED[name]
    assert count_params(spec()) == published


FIRST = {  # of what the first files of a pair hold for each tower, that of which nothing hangs
    **{"add_cross_attention": False, "cross_attention_hidden_size": None, "decoder_start_token_id": None},
    **{"diversity_penalty": 0.0, "do_sample": False, "dropout": 0.0, "early_stopping": False, "is_decoder": False},
    **{"gradient_checkpointing": False, "initializer_factor": 1.0, "is_encoder_decoder": False, "max_length": 20},
    **{"no_repeat_ngram_size": 0, "num_beams": 1, "output_scores": False, "pruned_heads": {}, "temperature": 1.0},
    **{"tie_encoder_decoder": False, "tie_word_embeddings": True, "torchscript": False, "use_bfloat16": False},
}


def test_the_first_files_of_clip_are_read_with_all_that_they_hold():
    parts = {"text_config": FIRST | {"eos_token_id": 2}, "vision_config": FIRST | {"patch_size": 16}}
    first = {"text_config_dict": None, "vision_config_dict": None, "logit_scale_init_value": 2.6592}
    config, _ = clip_from_hf({"model_type": "clip", "projection_dim": 512, **first, **parts})
    assert (config.patch, config.vectors, config.end) == (16, 512, None)


def test_the_first_files_of_clip_end_texts_by_the_greatest_token():
    end = lambda **texts: clip_from_hf({"text_config": texts})[0].end
    assert end() == 49407
    assert end(eos_token_id=2) is None
    assert clip_from_hf({"text_config": {"eos_token_id": 2}, "text_config_dict": {"vocab_size": 9}})[0].end == 49407


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: clip_images(p, jnp.ones((8, 8, 1), int), CLIP), TypeError, "clip_images: expected floating-point"),
        (lambda p: clip_images(p, jnp.ones((8, 4, 1)), CLIP), ValueError, "found 2 x 1 patches, 3 tokens; .*5 posit"),
        (lambda p: clip_texts(p, jnp.ones(3), CLIP), TypeError, "clip_texts: expected integers"),
        (lambda p: clip_texts(p, jnp.arange(7), CLIP), ValueError, "found 7 tokens, its params have 6 positions"),
        (
            lambda p: similarity_logits(p, jnp.ones((2, 3)), jnp.ones((2, 4))),
            ValueError,
            r"expected images \(..., n, d\) and texts",
        ),
        (
            lambda p: clip(p["image"], jnp.ones((8, 8, 1)), jnp.arange(3), CLIP),
            ValueError,
            "a dict with 'image', 'text'",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(numbers(clip_spec(CLIP)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: clip_from_hf([]), TypeError, "clip_from_hf: expected config.json as a dict, found list"),
        (lambda: clip_from_hf({"model_type": "siglip"}), ValueError, "not one of clip's: model_type='siglip'"),
        (
            lambda: clip_from_hf({"text_config": {"model_type": "clip_vision_model"}}),
            ValueError,
            "not one of clip_text_model's: model_type='clip_vision_model'",
        ),
        (
            lambda: clip_from_hf({"vision_config": {"attention_dropout": 0.1, "registers": 4}}),
            ValueError,
            "clip_vision_model's: attention_dropout=0.1, where 0 is computed; registers=4 is not known",
        ),
        (lambda: clip_from_hf({"text_config": {"hidden_act": "elu"}}), ValueError, "hidden_act among .*found 'elu'"),
        (
            lambda: clip_from_hf({"vision_config": {"patch_size": [8, 4]}}),
            ValueError,
            r"square patches, found .*\(8, 4\)",
        ),
        (lambda: siglip_from_hf({"vision_config": {"vision_use_head": False}}), ValueError, "where True is computed"),
        (
            lambda: siglip_from_hf({"text_config": {"hidden_size": 384}}),
            ValueError,
            "as wide as of images, 768, found 384",
        ),
        (lambda: vit_from_hf({}), ValueError, "hidden_size is missing; intermediate_size is missing;"),
        (lambda: vit_from_hf(VIT | {"qkv_bias": False}), ValueError, "qkv_bias=False, where True is computed"),
        (lambda: deit_from_hf(VIT | {"model_type": "vit"}), ValueError, "deit_from_hf: .*model_type='vit'"),
        (lambda: TowerConfig(2, 3, 8, 8), ValueError, "3 heads do not divide embed=8"),
        (lambda: SiglipConfig((2, 8, 1), 4, 11, 6, TOWER, TOWER), ValueError, "of patches of 4, found"),
        (
            lambda: ClipConfig((8, 8, 1), 4, 11, 0, TOWER, TOWER, 5),
            ValueError,
            "expected context of 1 or more, found 0",
        ),
    ],
)
def test_bad_configs_are_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
