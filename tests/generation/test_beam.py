"""Beam search against all texts there are, and against Hugging Face's `transformers`."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.generation import beam_search
from jnn.models import TRANSFORMER, decoder_model, transformer, transformer_spec
from tests.models.decoders import moved

SPEC = transformer_spec(4, 16, layers=1, heads=2, embed=8)
PROMPT, END = jnp.array([[1, 2], [3, 0]]), 0


def all_texts(p, prompt, steps, penalty):
    """Every text's score: those that end, and those of full length."""
    whole = jnp.array([[*prompt, *text] for text in itertools.product(range(4), repeat=steps)])
    logs = np.asarray(jax.jit(lambda p: jax.nn.log_softmax(transformer(p, whole, key=None)))(p))
    scores = {}
    for row, log in zip(np.asarray(whole), logs, strict=True):
        text = row[len(prompt) :].tolist()
        n = text.index(END) + 1 if END in text else steps
        own = sum(log[len(prompt) + i - 1, text[i]] for i in range(n))
        scores[tuple(text[:n])] = own / n**penalty
    return sorted(scores.items(), key=lambda one: -one[1])


@pytest.mark.parametrize("penalty", [0.0, 1.0, pytest.param(-1.0, marks=pytest.mark.slow)])
def test_with_a_beam_for_every_text_it_finds_the_best_of_all(penalty):
    p, steps = moved(SPEC, 0.6), 3
    found = beam_search(p, PROMPT, steps, TRANSFORMER, beams=30, end=END, length_penalty=penalty)
    for i, prompt in enumerate(PROMPT.tolist()):
        best = all_texts(p, prompt, steps, penalty)[:30]
        np.testing.assert_allclose(found.scores[i], [score for _, score in best], rtol=1e-4, atol=1e-4)
        for (text, _), row, n in zip(best[:5], found.tokens[i], found.lengths[i].tolist(), strict=False):
            assert row.tolist() == [*prompt, *text, *[END] * (steps - len(text))]
            assert n == 2 + len(text)


@pytest.mark.slow
def test_one_beam_is_greedy_and_scores_are_log_probs():
    p = moved(SPEC, 0.6)
    found = beam_search(p, PROMPT, 5, TRANSFORMER, beams=1, length_penalty=0.0)
    logs = jax.jit(lambda p, x: jax.nn.log_softmax(transformer(p, x, key=None)))(p, found.tokens[:, 0])
    np.testing.assert_array_equal(found.tokens[:, 0, 2:], logs.argmax(-1)[:, 1:-1])
    np.testing.assert_allclose(found.scores[:, 0], logs.max(-1)[:, 1:-1].sum(-1), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["smollm2", "mistral", "gemma2"])
@pytest.mark.parametrize(("beams", "penalty"), [(4, 1.0), (5, 0.0), (3, 2.0), (4, -0.5)])
def test_it_finds_what_transformers_finds(case, beams, penalty):
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from jnn.interop.torch import load_state_dict
    from jnn.models import decoder_from_hf, decoder_spec
    from tests.models.hugging_face import model_of, saved

    theirs = model_of(case)
    config, names = decoder_from_hf(theirs.config.to_dict())
    p = load_state_dict(decoder_spec(config), saved(theirs), names)
    prompt = np.random.default_rng(1).integers(1, 40, (3, 6))
    options = {"num_beams": beams, "num_return_sequences": beams, "max_new_tokens": 12, "do_sample": False}
    wanted = theirs.generate(
        torch.tensor(prompt),
        attention_mask=torch.ones(3, 6, dtype=torch.long),
        eos_token_id=[5, 17],
        pad_token_id=5,
        length_penalty=penalty,
        early_stopping="never",
        **options,
    ).reshape(3, beams, -1)
    found = beam_search(
        p, jnp.asarray(prompt), 12, decoder_model(config), beams=beams, end=(5, 17), length_penalty=penalty
    )
    np.testing.assert_array_equal(found.tokens[..., : wanted.shape[-1]], wanted.numpy())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: beam_search(p, PROMPT, 2, TRANSFORMER, beams=0), "beams"),
        (lambda p: beam_search(p, PROMPT, 2, TRANSFORMER, beams=2, length_penalty=float("nan")), "length_penalty"),
        (lambda p: beam_search(p, PROMPT, 1, TRANSFORMER, beams=5), "found fewer than 5 texts"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=f"beam_search: .*{message}"):
        call(moved(SPEC))
