"""What is done to logits: against its definition in plain Python, and against Hugging Face's `transformers`."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.generation import (
    History,
    Sampling,
    adjusted_logits,
    frequency_logits,
    min_p_logits,
    presence_logits,
    repetition_logits,
    temperature_logits,
    top_k_logits,
    top_p_logits,
    typical_logits,
)

LOGITS = np.random.default_rng(0).normal(scale=2, size=(8, 13)).astype(np.float32)
TOKENS = np.random.default_rng(1).integers(0, 13, (8, 6)).astype(np.int32)
ALL = History(TOKENS, jnp.full(8, 2), jnp.full(8, 6))


def softmax(row):
    return np.exp(row - row.max()) / np.exp(row - row.max()).sum()


def nucleus(row, p):
    order, sums = np.argsort(-row), 0.0
    kept = itertools.takewhile(lambda token: sums < p, order)
    for token in kept:
        sums += softmax(row)[token]
        yield token


def typical(row, p):
    shares = softmax(row)
    order, sums = np.argsort(np.abs(-np.log(shares) + (shares * np.log(shares)).sum())), 0.0
    for token in order:
        if sums >= p:
            return
        sums += shares[token]
        yield token


def within(row, p):
    return np.flatnonzero(softmax(row) >= p * softmax(row).max())


CUTS = {
    "top_k": (top_k_logits, lambda row, k: np.argsort(-row)[:k], (1, 5, 13)),
    "top_p": (top_p_logits, nucleus, (1e-3, 0.5, 0.9, 1.0)),
    "min_p": (min_p_logits, within, (0.0, 0.1, 1.0)),
    "typical": (typical_logits, typical, (1e-3, 0.5, 0.9)),
}


@pytest.mark.parametrize(("cut", "kept", "options"), CUTS.values(), ids=CUTS)
def test_what_is_cut_off_is_what_the_definition_says(cut, kept, options):
    for option in options:
        wanted = np.full_like(LOGITS, -np.inf)
        for i, row in enumerate(LOGITS):
            at = list(kept(row, option))
            wanted[i, at] = row[at]
        np.testing.assert_array_equal(cut(LOGITS, option), wanted, err_msg=str(option))


def test_penalties_are_counted():
    """Of what was read and drawn, or of what was drawn alone; what is behind the text counts for nothing."""
    history = History(TOKENS, jnp.full(8, 2), jnp.full(8, 5))
    found = adjusted_logits(LOGITS, Sampling(repetition=1.5, presence=0.3, frequency=0.2), history)
    for row, tokens, logits in zip(found, TOKENS, LOGITS, strict=True):
        wanted = logits.copy()
        for token in set(tokens[:5].tolist()):
            wanted[token] *= 1.5 if logits[token] < 0 else 1 / 1.5
        for token in tokens[2:5]:
            wanted[token] -= 0.2
        for token in set(tokens[2:5].tolist()):
            wanted[token] -= 0.3
        np.testing.assert_allclose(row, wanted - wanted.max(), rtol=1e-5, atol=1e-5)


def test_narrow_logits_stay_so_and_are_cut_as_wide_ones():
    counts, each = np.arange(8 * 13).reshape(8, 13), jnp.linspace(1.0, 2.0, 8)
    narrow = jnp.asarray(LOGITS, jnp.bfloat16)
    for penalized in (
        repetition_logits(narrow, counts > 9, each),
        presence_logits(narrow, counts, each),
        frequency_logits(narrow, counts, each),
    ):
        assert penalized.dtype == jnp.bfloat16
    many = jax.random.normal(jax.random.key(0), (2, 2000)).astype(jnp.bfloat16)
    for cut in (top_p_logits, typical_logits):
        np.testing.assert_array_equal(cut(many, 0.9), cut(many.astype(jnp.float32), 0.9).astype(jnp.bfloat16))


def test_a_row_has_options_of_its_own():
    numbers = jnp.linspace(0.3, 0.9, 8)
    sampling = Sampling(temperature=numbers, top_p=numbers, repetition=1 + numbers)
    found = adjusted_logits(LOGITS, sampling, ALL)
    for i in (0, 7):
        alone = jax.tree.map(lambda x, i=i: x[i], sampling)
        one = History(*(x[i] for x in ALL))
        np.testing.assert_allclose(found[i], adjusted_logits(jnp.asarray(LOGITS[i]), alone, one), rtol=1e-6)


def test_extremes_stay_finite_and_ordered():
    huge = jnp.array([1e38, 1e38, -1e38, 0.0])
    assert temperature_logits(huge, 1e-30).tolist() == [0, 0, -jnp.inf, -jnp.inf]
    assert temperature_logits(huge, 0).tolist() == [0, -jnp.inf, -jnp.inf, -jnp.inf]
    one = adjusted_logits(
        huge, Sampling(0.5, top_k=3, top_p=0.1, min_p=1.0, typical_p=0.1), History(*(x[0] for x in ALL))
    )
    assert jnp.isfinite(one).tolist() == [True, True, False, False]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_all_of_it_is_that_of_transformers(seed):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    rng = np.random.default_rng(seed)
    logits, tokens = rng.normal(scale=3, size=(16, 50)).astype(np.float32), rng.integers(0, 50, (16, 9))
    history = History(jnp.asarray(tokens), jnp.full(16, 4), jnp.full(16, 9))
    theirs = {
        "repetition": (transformers.RepetitionPenaltyLogitsProcessor, 1.3),
        "temperature": (transformers.TemperatureLogitsWarper, 0.7),
        "top_k": (transformers.TopKLogitsWarper, 20),
        "top_p": (transformers.TopPLogitsWarper, 0.8),
        "min_p": (transformers.MinPLogitsWarper, 0.05),
        "typical_p": (transformers.TypicalLogitsWarper, 0.7),
    }
    for chosen in [*({name} for name in theirs), set(theirs), {"temperature", "top_k", "top_p"}]:
        steps = [make(option) for name, (make, option) in theirs.items() if name in chosen]
        wanted = transformers.LogitsProcessorList(steps)(torch.tensor(tokens), torch.tensor(logits.copy())).numpy()
        sampling = Sampling(**{name: theirs[name][1] for name in chosen})
        found = jax.nn.softmax(adjusted_logits(logits, sampling, history))
        np.testing.assert_allclose(found, jax.nn.softmax(wanted), rtol=1e-5, atol=1e-6, err_msg=str(chosen))
