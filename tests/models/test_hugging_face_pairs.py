"""Published encoder-decoders against Hugging Face's `transformers`: logits, gradients, greedy text with the cache."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.audio import decibels, mel_filters, mel_spectrogram
from jnn.interop.torch import load_state_dict
from jnn.models import encoder_decoder, encoder_decoder_from_hf, encoder_decoder_spec
from tests.models.encoder_decoders import CASES, greedy, model_of, weights_of
from tests.models.hugging_face import in_double

RNG = np.random.default_rng(0)
SOURCE, TARGET = (RNG.integers(1, 37, (3, n)).astype(np.int32) for n in (9, 12))
FRAMES = RNG.normal(size=(3, 14, 5))
LENGTHS = np.array([9, 6, 2], np.int32)
by_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture
def oracle(case):
    pytest.importorskip("transformers", reason="the oracle is Hugging Face's transformers: pip install jnn[oracles]")
    return model_of(case)


def read_by(model):
    """What it reads, as Hugging Face's class and as ours take it. (Whisper's does not know of padding.)"""
    import torch

    if model.config.model_type == "whisper":
        frames = torch.tensor(FRAMES).to(model.dtype)
        return {"input_features": frames.transpose(1, 2)}, (jnp.asarray(frames.numpy()), None)
    mask = torch.arange(SOURCE.shape[1]) < torch.tensor(LENGTHS)[:, None]
    return {"input_ids": torch.tensor(SOURCE).long(), "attention_mask": mask.long()}, (SOURCE, LENGTHS)


def both(model, dtype):
    """Logits of Hugging Face's, and parameters, config, spec, names and logits of ours."""
    import torch

    theirs, (source, lengths) = read_by(model)
    config, names = encoder_decoder_from_hf(model.config.to_dict())
    spec = encoder_decoder_spec(config, dtype=dtype)
    p = load_state_dict(spec, weights_of(model, model.state_dict()), names)
    run = jax.jit(lambda p: encoder_decoder(p, source, TARGET, config, key=None, lengths=lengths))
    wanted = model(**theirs, decoder_input_ids=torch.tensor(TARGET).long()).logits
    return wanted, p, config, lambda gradients: load_state_dict(spec, gradients, names), run


def assert_near(found, wanted, part):
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=0, atol=part * np.abs(wanted).max())


@pytest.mark.slow
@by_case
def test_logits_are_those_of_transformers(case, oracle):
    wanted, p, *_, run = both(oracle, jnp.float32)
    assert_near(run(p), wanted.detach().numpy(), 1e-4)
    with in_double(), jax.enable_x64(True):
        wanted, p, *_, run = both(model_of(case), jnp.float64)
        assert_near(run(p), wanted.detach().numpy(), 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["bart", "marian", "t5", "t5-1.1", "whisper"])
def test_gradients_are_those_of_transformers(case, oracle):
    with in_double(), jax.enable_x64(True):
        import torch

        model = model_of(case)
        wanted, p, _, by_path, run = both(model, jnp.float64)
        direction = np.random.default_rng(1).normal(size=wanted.shape)
        (wanted * torch.tensor(direction)).sum().backward()
        gradients = {name: x.grad for name, x in model.named_parameters() if x.grad is not None}
        if "final_logits_bias" in model.state_dict():  # a buffer of theirs
            gradients["final_logits_bias"] = torch.tensor(direction.sum((0, 1)))
        theirs = jnn.flatten(by_path(weights_of(model, gradients)))
        found = jax.jit(lambda p: jax.vjp(run, p)[1](jnp.asarray(direction))[0])(p)
        for path, gradient in jnn.flatten(found).items():
            near = 1e-9 * np.abs(theirs[path]).max() + 1e-12  # keys' biases have none, up to rounding
            np.testing.assert_allclose(gradient, theirs[path], rtol=0, atol=near, err_msg=path)


@pytest.mark.slow
@by_case
def test_greedy_text_is_that_of_transformers(case, oracle):
    """Twenty-four tokens, by a cache. (Theirs of a decoder that is deeper than the encoder has too few layers.)"""
    import transformers

    theirs, (source, lengths) = read_by(oracle)
    how = {"max_new_tokens": 24, "do_sample": False, "num_beams": 1, "no_repeat_ngram_size": 1, "use_cache": False}
    wanted = transformers.GenerationMixin.generate(oracle, **theirs, **how).numpy()
    _, p, config, *_ = both(oracle, jnp.float32)
    np.testing.assert_array_equal(greedy(p, source, config, 24, lengths), wanted)


@pytest.mark.slow
def test_frames_of_whisper_are_decibels_of_a_mel_spectrogram():
    """The decimal logarithm of powers is a tenth of decibels."""
    transformers = pytest.importorskip("transformers", reason="the oracle is Hugging Face's transformers")
    extract = transformers.WhisperFeatureExtractor(chunk_length=2)
    waveform = np.random.default_rng(0).normal(size=32_000).astype(np.float32) * np.linspace(0, 1, 32_000)
    wanted = extract(waveform.astype(np.float32), sampling_rate=16_000, return_tensors="np")["input_features"][0].T
    powers = mel_spectrogram(jnp.asarray(waveform, jnp.float32), mel_filters(400, 80, 16_000), hop_length=160)[:-1]
    found = (decibels(powers, span=80.0) / 10 + 4) / 4
    np.testing.assert_allclose(found, wanted, atol=1e-4)
