"""Translation edit rate and extended edit distance against papers, exact fractions, sacreBLEU and torchmetrics."""

from fractions import Fraction

import numpy as np
import pytest

from jnn import metrics as M
from tests.metrics.examples import repeated, texts
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))
many = pytest.mark.parametrize("rng", configurations(), ids=range(20))
slow = pytest.mark.slow


def of_one(hypothesis, *references):
    return M.translation_edit_rate([hypothesis], [list(references)])


def test_the_edit_rate_has_the_numbers_of_its_paper():
    """ "A Study of Translation Edit Rate with Targeted Human Annotation", section 2: a move and three edits."""
    reference = "SAUDI ARABIA denied THIS WEEK information published in the AMERICAN new york times"
    metric = of_one("THIS WEEK THE SAUDIS denied information published in the new york times", reference)
    assert (metric.total, metric.weight) == (4, 13)


@rngs
def test_words_that_are_moved_at_once_are_one_edit(rng):
    words = [f"w{i}" for i in range(9)]
    for _ in range(10):
        start, to = rng.permutation(7)[:2]
        block, rest = words[start : start + 2], words[:start] + words[start + 2 :]
        assert of_one(" ".join(rest[:to] + block + rest[to:]), " ".join(words).upper()).total == 1


@rngs
def test_moves_save_edits_and_the_nearest_reference_counts(rng):
    hypotheses, references, _ = texts(rng)
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        mine, theirs = hypothesis.lower().split(), reference.lower().split()
        assert abs(len(mine) - len(theirs)) <= of_one(hypothesis, reference).total <= M.edit_distance(mine, theirs)
        both = of_one(hypothesis, reference, f"{hypothesis} x")
        assert both.total == min(1, of_one(hypothesis, reference).total)
        assert both.weight == (len(theirs) + len(mine) + 1) / 2
    assert of_one("a b", "").total == of_one("", "a b").total == 2


def test_moves_end_where_too_many_were_tried():
    words = " ".join("ab"[i % 3 == 0] for i in range(60))
    assert 0 < of_one(words[::-1] + " c", words).total <= 60


def extended(mine, theirs):
    """By the equations of the paper, in fractions."""
    mine, theirs = f" {mine} ", f" {theirs} "
    visits, row = [0] * (len(mine) + 1), [Fraction(0)] + [Fraction(1)] * len(mine)
    for letter in theirs:
        costs = [row[0] + 1]
        for i, other in enumerate(mine):
            costs.append(min(costs[-1] + Fraction(1, 5), row[i] + (other != letter), row[i + 1] + 1))
        visits[costs.index(min(costs))] += 1
        row = [min(cost, min(costs) + 2) for cost in costs] if letter == " " else costs
    coverage = Fraction(3, 10) * sum(abs(n - 1) for n in visits)
    return float(min(1, (row[-1] + coverage) / (len(theirs) + coverage)))


@rngs
def test_the_extended_edit_distance_is_its_equations(rng):
    arrays = texts(rng)
    pairs = list(zip(*repeated(arrays), strict=True))[:10]
    theirs = [extended(*pair) for pair in pairs]
    metric = M.extended_edit_distance(*zip(*pairs, strict=True))
    np.testing.assert_allclose(metric.value(), np.mean(theirs), rtol=1e-12)
    (mine, first), (_, second) = pairs[0], pairs[-1]
    best = M.extended_edit_distance([f" {mine}  "], [[first, second]]).value()
    np.testing.assert_allclose(best, min(extended(mine, first), extended(mine, second)), rtol=1e-12)


@slow
@many
def test_edit_rates_are_sacrebleus(rng):
    theirs = pytest.importorskip("sacrebleu")
    hypotheses, first, _ = texts(rng)
    second = texts(rng)[1]
    for i in range(0, len(first), 2):  # words in another order
        words = first[i].split()
        hypotheses[i] = " ".join(np.roll(words, rng.integers(len(words) + 1)))
    for several in ([first], [first, second]):
        metric = M.translation_edit_rate(hypotheses, list(zip(*several, strict=True)))
        expected = theirs.corpus_ter(list(hypotheses), [list(column) for column in several])
        assert metric.total == expected.num_edits
        np.testing.assert_allclose(100 * metric.value(), expected.score, rtol=1e-12)


@slow
@many
def test_edit_distances_are_those_of_torchmetrics(rng):
    theirs = pytest.importorskip("torchmetrics.functional.text")
    hypotheses, references, _ = texts(rng)
    rows = [[reference] for reference in references]
    rate = theirs.translation_edit_rate(list(hypotheses), rows)
    np.testing.assert_allclose(M.translation_edit_rate(hypotheses, rows).value(), rate, rtol=1e-6)
    plain = [[text.translate(str.maketrans("", "", ".,")) for text in column] for column in (hypotheses, references)]
    expected = theirs.extended_edit_distance(plain[0], [[text] for text in plain[1]])
    # theirs adds up 0.2 in float64, which decides what is a tie in fractions
    np.testing.assert_allclose(M.extended_edit_distance(*plain).value(), expected, rtol=5e-3)
