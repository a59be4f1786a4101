"""Published models of images, alone and with texts, against Hugging Face's `transformers`: outputs and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import models
from jnn.interop.torch import load_state_dict
from tests.models.hugging_face import drawn, gradients, in_double, saved

SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
IMAGE = SHAPE | {"image_size": 12, "patch_size": 4}
VIT = IMAGE | {"num_labels": 5, "layer_norm_eps": 1e-6}
TEXT = SHAPE | {"vocab_size": 40, "max_position_embeddings": 9}
NARROW = TEXT | {"hidden_size": 24, "num_hidden_layers": 2}
# a case: the class, its config's, and what is in it; images that are cut, activations, places of the token that ends
CASES = {
    "vit": ("ViTForImageClassification", "ViTConfig", VIT),
    "vit-wide": ("ViTForImageClassification", "ViTConfig", VIT | {"image_size": [8, 12], "hidden_act": "gelu_new"}),
    "deit": ("DeiTForImageClassificationWithTeacher", "DeiTConfig", VIT),
    "clip": ("CLIPModel", "CLIPConfig", {"text_config": NARROW | {"eos_token_id": 7}, "vision_config": IMAGE}),
    "clip-first": (
        "CLIPModel",
        "CLIPConfig",
        {
            "text_config": TEXT | {"eos_token_id": 2, "hidden_act": "gelu"},
            "vision_config": IMAGE | {"image_size": 14},
            "projection_dim": 16,
        },
    ),
    "siglip": ("SiglipModel", "SiglipConfig", {"text_config": TEXT, "vision_config": IMAGE | {"image_size": 15}}),
    "siglip-narrow": (
        "SiglipModel",
        "SiglipConfig",
        {"text_config": NARROW | {"projection_size": 32}, "vision_config": IMAGE},
    ),
}
rng = np.random.default_rng(0)
TOKENS = rng.integers(8, 39, (4, 9)).astype(np.int32)
TOKENS[range(4), [8, 3, 5, 1]] = [39, 39, 7, 7]  # the greatest, and the one that ends; the others begin with it
TOKENS[:2, 0], TOKENS[2, 7] = 7, 7
by_case = pytest.mark.parametrize("case", CASES)


def model_of(case):
    pytest.importorskip("transformers", reason="the oracle is Hugging Face's transformers: pip install jnn[oracles]")
    name, config, fields = CASES[case]
    return drawn(name, config, fields)


def images_of(model, dtype):
    size = getattr(model.config, "vision_config", model.config).image_size
    y, x = (size, size) if isinstance(size, int) else size
    return np.random.default_rng(1).normal(size=(3, y, x, 3)).astype(dtype)


def end_of(model):
    end = model.config.text_config.eos_token_id
    return np.argmax(TOKENS if end == 2 else end == TOKENS, axis=-1)


def theirs(model, images):
    """What it gives, as one array of all outputs in turn."""
    import torch

    pixels = torch.tensor(images).permute(0, 3, 1, 2)
    if model.config.model_type in ("vit", "deit"):
        out = model(pixel_values=pixels)
        found = (out.cls_logits, out.distillation_logits) if model.config.model_type == "deit" else (out.logits,)
    else:
        given = {"pixel_values": pixels, "input_ids": torch.tensor(TOKENS).long()}
        if model.config.model_type == "clip":  # what is behind the end is padding
            given["attention_mask"] = torch.tensor(np.arange(9) <= end_of(model)[:, None]).long()
        out = model(**given)
        found = (out.image_embeds, out.text_embeds, out.logits_per_image)
    return torch.cat([x.reshape(-1) for x in found])


def ours(model, images, dtype):
    """The spec, the names, and a function of params that gives the same."""
    fields, kind = model.config.to_dict(), model.config.model_type
    if kind in ("vit", "deit"):
        spec, run = {"vit": (models.vit_spec, models.vit), "deit": (models.deit_spec, models.deit)}[kind]
        sizes, options, names = {"vit": models.vit_from_hf, "deit": models.deit_from_hf}[kind](fields)
        return spec(**sizes, dtype=dtype), names, lambda p: flat(run(p, images, key=None, **options))
    of = {
        "clip": (models.clip_from_hf, models.clip_spec, models.clip),
        "siglip": (models.siglip_from_hf, models.siglip_spec, models.siglip),
    }
    read, spec, run = of[kind]
    config, names = read(fields)

    def all_of(p):
        vectors = run(p, images, TOKENS, config)
        return flat((*vectors, models.similarity_logits(p, *vectors)))

    return spec(config, dtype=dtype), names, all_of


def flat(out):
    return jnp.concatenate([x.ravel() for x in jax.tree.leaves(out)])


@pytest.mark.slow
@by_case
def test_outputs_are_those_of_transformers(case):
    import torch

    def both(dtype):
        model = model_of(case)
        images = images_of(model, dtype)
        spec, names, run = ours(model, images, dtype)
        p = load_state_dict(spec, saved(model), names)
        with torch.no_grad():
            return np.asarray(jax.jit(run)(p)), theirs(model, images).numpy()

    found, wanted = both(jnp.float32)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    with in_double(), jax.enable_x64(True):
        found, wanted = both(jnp.float64)
    assert found.dtype == wanted.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.slow
@pytest.mark.parametrize("case", ["vit", "deit", "clip", "siglip"])
def test_gradients_are_those_of_transformers(case):
    with in_double(), jax.enable_x64(True):
        model = model_of(case)
        images = images_of(model, np.float64)
        spec, names, run = ours(model, images, jnp.float64)
        p, output = load_state_dict(spec, saved(model), names), theirs(model, images)
        direction = np.random.default_rng(1).normal(size=output.shape)
        found = jnn.flatten(jax.jit(jax.grad(lambda p: jnp.sum(run(p) * direction)))(p))
        wanted = jnn.flatten(load_state_dict(spec, gradients(model, output, direction), names))
    largest = max(np.abs(x).max() for x in wanted.values())
    for path, gradient in found.items():
        np.testing.assert_allclose(gradient, wanted[path], rtol=0, atol=1e-9 * largest, err_msg=path)
