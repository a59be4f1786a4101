"""Masked autoencoder: against Hugging Face's ViTMAE, what hidden patches may not do, patches drawn, and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import models
from jnn.interop.torch import load_state_dict
from tests.models.hugging_face import drawn, gradients, in_double, saved

SIZES = {"layers": 2, "heads": 2, "embed": 8, "decoder_layers": 1, "decoder_heads": 2, "decoder_embed": 4}
THEIRS = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
DECODER = {"decoder_hidden_size": 24, "decoder_intermediate_size": 96, "decoder_num_hidden_layers": 2}
# a case: the image's size, that of a patch, and the share that is hidden
CASES = {"small": (12, 4, 0.75), "large": (20, 4, 0.5), "fine": (12, 2, 0.9)}
by_case = pytest.mark.parametrize("case", CASES)


def names():
    """Hugging Face's names of the weights, for ours."""
    own = {path: name for path, name in models.vit_from_hf(THEIRS)[2].items() if not path.startswith("out")}
    layers = {path: name for path, name in own.items() if path.startswith("blocks")}
    decoder = {path: name.replace("vit.encoder.layer", "decoder.decoder_layers") for path, name in layers.items()}
    decoder |= {"embed/*": "decoder.decoder_embed.*", "mask": "decoder.mask_token", "norm/*": "decoder.decoder_norm.*"}
    decoder |= {"out/*": "decoder.decoder_pred.*", "position/table": "decoder.decoder_pos_embed"}
    return {f"encoder/{path}": name for path, name in own.items()} | {f"decoder/{p}": n for p, n in decoder.items()}


def written(tensors):
    """By the names of published files; some versions of transformers write others for the decoder's blocks."""
    return {name.replace("decoder.decoder_encoder.layer", "decoder.decoder_layers"): x for name, x in tensors.items()}


def both(case, dtype):
    """Our function of params with theirs, and their model with what it gives."""
    import torch

    size, patch, hidden = CASES[case]
    fields = THEIRS | DECODER | {"decoder_num_attention_heads": 3, "image_size": size, "patch_size": patch}
    model = drawn("ViTMAEForPreTraining", "ViTMAEConfig", fields | {"mask_ratio": hidden})
    rng, tokens = np.random.default_rng(0), (size // patch) ** 2
    images, noise = rng.normal(size=(3, size, size, 3)).astype(dtype), rng.random((3, tokens)).astype(dtype)
    out = model(pixel_values=torch.tensor(images).permute(0, 3, 1, 2), noise=torch.tensor(noise)).logits
    visible = np.argsort(noise, axis=1)[:, : int(tokens * (1 - hidden))]
    sizes = {"layers": 3, "heads": 4, "embed": 32, "decoder_layers": 2, "decoder_heads": 3, "decoder_embed": 24}
    spec = models.masked_autoencoder_spec((size, size, 3), patch, **sizes, learned=True, dtype=dtype)
    options = models.vit_from_hf(THEIRS | {"layer_norm_eps": 1e-12})[1]
    return spec, lambda p: models.masked_autoencoder(p, images, visible, **options), model, out


@pytest.mark.slow
@by_case
def test_patches_and_gradients_are_those_of_transformers(case):
    pytest.importorskip("transformers", reason="the oracle is Hugging Face's transformers: pip install jnn[oracles]")
    with in_double(), jax.enable_x64(True):
        spec, ours, model, out = both(case, np.float64)
        p = load_state_dict(spec, written(saved(model)), names())
        direction = np.random.default_rng(1).normal(size=out.shape)
        found = jnn.flatten(jax.jit(jax.grad(lambda p: jnp.sum(ours(p) * direction)))(p))
        theirs = out.detach().numpy()
        np.testing.assert_allclose(ours(p), theirs, rtol=0, atol=1e-9 * np.abs(theirs).max())
        wanted = jnn.flatten(load_state_dict(spec, written(gradients(model, out, direction)), names()))
    largest = max(np.abs(x).max() for x in wanted.values())
    for path in found.keys() - {"encoder/position/table", "decoder/position/table"}:  # theirs are not trained
        np.testing.assert_allclose(found[path], wanted[path], rtol=0, atol=1e-9 * largest, err_msg=path)


def test_what_is_hidden_changes_nothing_and_neither_does_the_order_of_what_is_seen():
    p = jnn.init(models.masked_autoencoder_spec((4, 6, 1), 2, **SIZES), jax.random.key(0))
    run = jax.jit(models.masked_autoencoder)
    x, visible = jax.random.normal(jax.random.key(1), (4, 6, 1)), jnp.array([1, 5])
    seen = jnp.zeros((2, 3), bool).at[jnp.array([0, 1]), jnp.array([1, 2])].set(True)
    other = jnp.where(seen.repeat(2, 0).repeat(2, 1)[..., None], x, 9.0)
    expected = run(p, x, visible)
    assert expected.shape == (6, 4)
    np.testing.assert_array_equal(run(p, other, visible), expected)
    np.testing.assert_allclose(run(p, x, visible[::-1]), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(run(p, x, jnp.array([1, 4])) - expected).max() > 1e-4


def test_the_encoder_reads_whole_images_as_a_vision_transformer():
    spec = models.masked_autoencoder_spec((4, 4, 1), 2, **SIZES, class_token=False)
    p = jnn.init(spec, jax.random.key(0))
    assert models.vit(p["encoder"], jnp.ones((3, 4, 4, 1)), key=None).shape == (3, 8)


def test_every_set_of_patches_is_as_likely():
    places = np.asarray(models.random_patches(6000, 4, 2, key=jax.random.key(0)))
    sets, counts = np.unique(places, axis=0, return_counts=True)
    assert sets.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert (np.abs(counts - 1000) < 5 * 29).all()  # five deviations


def test_errors():
    p = jnn.init(models.masked_autoencoder_spec((4, 4, 1), 2, **SIZES), jax.random.key(0))
    x = jnp.ones((2, 4, 4, 1))
    with pytest.raises(ValueError, match=r"expected places \(2, 'k'\) of visible patches, found int32\[1,2\]"):
        models.masked_autoencoder(p, x, jnp.zeros((1, 2), jnp.int32))
    with pytest.raises(ValueError, match=r"masked_autoencoder: .*visible.*4 patches"):
        models.masked_autoencoder(p, x, jnp.full((2, 2), 4))
    with pytest.raises(TypeError, match="masked_autoencoder: expected integers"):
        models.masked_autoencoder(p, x, jnp.zeros((2, 2)))
    with pytest.raises(ValueError, match="expected 1 to 4 visible patches of 4, found 5"):
        models.random_patches(2, 4, 5, key=jax.random.key(0))
