"""N-grams: NLTK's Kneser-Ney where it is installed, the formula by hand, and sums of 1."""

import numpy as np
import pytest

from experiments.kneser_ney import KneserNey


def text(seed, n=400, vocab=5):
    """Tokens that hang on the two before, and their contexts, the nearest first."""
    rng = np.random.default_rng(seed)
    tokens = [0, 1]
    for _ in range(n):
        tokens.append(int((tokens[-1] + 2 * tokens[-2] + rng.choice(3, p=(0.7, 0.2, 0.1))) % vocab))
    tokens = np.array(tokens)
    return np.stack([tokens[1:-1], tokens[:-2]], 1), tokens[2:]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_add_up_to_one(order):
    contexts, tokens = text(0)
    model = KneserNey.fit(contexts[:, : order - 1], tokens, 7)  # of which two are never seen
    asked = np.array([[0, 1], [4, 4], [6, 0], [2, 9]])[:, : order - 1]
    sums = sum(model.probability(asked, np.full(4, token)) for token in range(7))
    np.testing.assert_allclose(sums, 1)
    assert (model.probability(asked, np.full(4, 6)) > 0).all()


def test_a_bigram_is_the_formula():
    """Contexts 0 0 0 1, tokens 0 0 1 0: three kinds of pairs, two of them seen once and one twice."""
    model = KneserNey.fit(np.array([[0], [0], [0], [1]]), np.array([0, 0, 1, 0]), 2)
    lower, top = 1 / (1 + 2 * 1), 2 / (2 + 2 * 1)  # discounts
    below = (2 - lower) / 3 + lower * 2 / 3 * 0.5  # token 0 stands behind two different contexts, token 1 behind one
    np.testing.assert_allclose(
        model.probability(np.array([[0], [1], [5]]), np.zeros(3, int)),
        [(2 - top) / 3 + top * 2 / 3 * below, (1 - top) / 1 + top * 1 / 1 * below, below],
    )


@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_shorter_one_is_that_of_shorter_contexts(length):
    (contexts, tokens), (asked, answers) = text(3), text(4)
    short = KneserNey.fit(contexts[:, :length], tokens, 5).probability(asked[:, :length], answers)
    np.testing.assert_allclose(KneserNey.fit(contexts, tokens, 5).shorter(length).probability(asked, answers), short)


def test_more_context_tells_more_where_there_is_more_to_tell():
    (contexts, tokens), (others, held_out) = text(1, 4000), text(2)
    losses = [
        -np.log(KneserNey.fit(contexts[:, :n], tokens, 5).probability(others[:, :n], held_out)).mean() for n in range(3)
    ]
    assert losses[2] < losses[1] - 0.2
    assert losses[2] == pytest.approx(0.8018, abs=0.1)  # the entropy of what is drawn


def test_it_is_what_nltk_makes_of_a_text():
    """At one discount for all, and with the lowest order as it stands, which NLTK has."""
    lm, util = pytest.importorskip("nltk.lm"), pytest.importorskip("nltk.util")
    contexts, tokens = text(5)
    theirs = lm.KneserNeyInterpolated(3, discount=0.3)
    words = [str(token) for token in [*contexts[0, ::-1], *tokens]]
    theirs.fit([util.everygrams(words, max_len=3)], vocabulary_text=words)
    model = KneserNey.fit(contexts, tokens, 5)
    discounts = (0.0, 0.3, 0.3)
    ours = KneserNey(
        tuple(order._replace(discount=d) for order, d in zip(model.orders, discounts, strict=True)), model.base, 5
    )
    asked, answers = text(6, n=40)
    wanted = [theirs.score(str(a), [str(c) for c in row[::-1]]) for row, a in zip(asked, answers, strict=True)]
    np.testing.assert_allclose(ours.probability(asked, answers), wanted, rtol=1e-6)
