"""Metrics of texts against plain recursion, numbers of papers, and sacreBLEU, rouge-score and jiwer where installed."""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from jnn import metrics as M
from tests.metrics.examples import repeated, texts
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))
slow = pytest.mark.slow


def levenshtein(a, b):
    """By its definition."""

    @cache
    def distance(i, j):
        if not i or not j:
            return i + j
        same = a[i - 1] == b[j - 1]
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (not same))

    return distance(len(a), len(b))


def subsequence(a, b):
    """The length of the longest common one, by its definition."""

    @cache
    def longest(i, j):
        if not i or not j:
            return 0
        if a[i - 1] == b[j - 1]:
            return longest(i - 1, j - 1) + 1
        return max(longest(i - 1, j), longest(i, j - 1))

    return longest(len(a), len(b))


@rngs
def test_error_rates_are_edits_over_lengths(rng):
    arrays = texts(rng)
    pairs = list(zip(*repeated(arrays), strict=True))
    for metric, split in ((M.word_error_rate, str.split), (M.character_error_rate, list)):
        edits = sum(levenshtein(split(a), split(b)) for a, b in pairs)
        np.testing.assert_allclose(metric(*arrays), [edits, sum(len(split(b)) for _, b in pairs)])
    for a, b in [*pairs[:5], ("", "abc"), ("abc", ""), ("", "")]:
        assert M.edit_distance(a, b) == levenshtein(a, b)


def aligned(a, b):
    """The least edits and, with these, the most matches, by trying all ways."""

    @cache
    def best(i, j):
        if not i or not j:
            return i + j, 0
        (edits, less), same = best(i - 1, j - 1), a[i - 1] == b[j - 1]
        ways = [(edits + (not same), less - same)]
        return min(ways + [(edits + 1, less) for edits, less in (best(i - 1, j), best(i, j - 1))])

    edits, less = best(len(a), len(b))
    return edits, -less


@rngs
def test_matches_are_the_most_of_alignments_with_the_fewest_edits(rng):
    arrays = texts(rng)
    pairs = [(a.split(), b.split()) for a, b in zip(*repeated(arrays), strict=True)]
    edits, matches = np.sum([aligned(*pair) for pair in pairs], 0)
    words = np.sum([[len(a), len(b)] for a, b in pairs], 0)
    np.testing.assert_allclose(M.match_error_rate(*arrays).value(), edits / (edits + matches), rtol=1e-12)
    metric = M.word_information_preserved(*arrays)
    np.testing.assert_allclose(metric.value(), matches**2 / np.prod(words), rtol=1e-12)
    np.testing.assert_allclose(metric.lost(), 1 - matches**2 / np.prod(words), rtol=1e-12)
    # two ways with three edits: of substitutions alone, or with a match
    metric = M.word_information_preserved(["a b c"], ["b a d"])
    assert (metric.matches, *M.match_error_rate(["a b c"], ["b a d"])) == (1, 3, 4)


@rngs
def test_rouge_is_f1_of_what_is_shared(rng):
    arrays = texts(rng)
    plain = [x.astype(str) for x in repeated(arrays)]
    for x in plain:  # punctuation parts words
        x[:] = np.char.translate(np.char.lower(x), str.maketrans(".'-", "   "))
    pairs = [(a.split(), b.split()) for a, b in zip(*plain, strict=True)]
    f1 = lambda shared, a, b: 2 * shared / (a + b) if a + b else 0
    theirs = np.mean([f1(subsequence(a, b), len(a), len(b)) for a, b in pairs])
    np.testing.assert_allclose(M.rouge_l(*arrays).value(), theirs, rtol=1e-12)
    for n in (1, 2):
        runs = lambda x, n=n: Counter(zip(*(x[i:] for i in range(n)), strict=False))
        each = [f1(sum((runs(a) & runs(b)).values()), runs(a).total(), runs(b).total()) for a, b in pairs]
        np.testing.assert_allclose(M.rouge_n(arrays[0], arrays[1], n, arrays[2]).value(), np.mean(each), rtol=1e-12)


def test_bleu_has_the_numbers_of_its_paper():
    """ "BLEU: a Method for Automatic Evaluation of Machine Translation", sections 2.1 and 2.1.1."""
    references = ["the cat is on the mat", "there is a cat on the mat"]
    metric = M.bleu(["the the the the the the the"], [references])
    assert (metric.matches[0], metric.totals[0], metric.matches[1], metric.totals[1]) == (2, 7, 0, 6)
    references = [
        "It is a guide to action that ensures that the military will forever heed Party commands",
        "It is the guiding principle which guarantees the military forces always being under the command of the Party",
        "It is the practical guide for the army always to heed the directions of the party",
    ]
    first = "It is a guide to action which ensures that the military always obeys the commands of the party"
    second = "It is to insure the troops forever hearing the activity guidebook that party direct"
    first, second = (M.bleu([text], [references]) for text in (first, second))
    assert (first.matches[0], first.totals[0], first.matches[1], first.totals[1]) == (17, 18, 10, 17)
    assert (second.matches[0], second.totals[0], second.matches[1], second.totals[1]) == (8, 14, 1, 13)


def test_short_and_empty_texts_are_punished_and_finite():
    same = M.bleu(["a b c d e"], ["a b c d e"])
    assert same.value() == same.unsmoothed() == 1
    half = M.bleu(["a b c d"], ["a b c d e f g h"])
    np.testing.assert_allclose(half.value(), np.exp(1 - 8 / 4), rtol=1e-12)
    for hypothesis in ("", "x", "a", "a b c"):
        assert M.bleu([hypothesis], ["a b c d"]).value() == 0
    assert M.chrf([""], ["abc"]).value() == M.chrf(["xyz"], ["abc"]).value() == 0
    assert M.chrf(["abcdefgh"], ["abcdefgh"]).value() == 1


def test_chrf_of_a_few_letters():
    """Of "abc" and "abd": 2 of 3 letters, 1 of 2 pairs and no triple are shared."""
    np.testing.assert_allclose(M.chrf(["abc"], ["abd"]).value(), (2 / 3 + 1 / 2) / 3, rtol=1e-12)


def test_answers_are_compared_without_case_punctuation_and_articles():
    answers = ["The Cat!", "a small dog", "", "fish"]
    right = [["cat", "a dog"], ["dog", "small cats"], "the", ""]
    metric = M.exact_match(answers, right)
    assert (metric.total, metric.weight) == (2, 4)
    np.testing.assert_allclose(M.token_f1(answers, right), [1 + 2 / 3 + 1 + 0, 4])


@slow
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_bleu_and_chrf_are_sacrebleus(rng):
    theirs = pytest.importorskip("sacrebleu")
    (hypotheses, first, _), (_, second, _) = texts(rng, 8), texts(rng, 8)
    for several in ([first], [first, second]):
        rows = list(zip(*several, strict=True))
        columns = [list(column) for column in several]
        for n in (1, 2, 8):
            stream = [column[:n] for column in columns]
            ours = M.bleu(list(hypotheses[:n]), rows[:n])
            expected = theirs.corpus_bleu(list(hypotheses[:n]), stream)
            np.testing.assert_allclose(100 * ours.value(), expected.score, rtol=1e-9)
            np.testing.assert_allclose(ours.brevity_penalty(), expected.bp, rtol=1e-9)
            expected = theirs.corpus_bleu(list(hypotheses[:n]), stream, smooth_method="none").score
            np.testing.assert_allclose(100 * ours.unsmoothed(), expected, rtol=1e-9, atol=1e-12)
            expected = theirs.corpus_chrf(list(hypotheses[:n]), stream).score
            np.testing.assert_allclose(100 * M.chrf(list(hypotheses[:n]), rows[:n]).value(), expected, rtol=1e-9)


@slow
def test_tokens_are_sacrebleus():
    tokenize = pytest.importorskip("sacrebleu.tokenizers.tokenizer_13a").Tokenizer13a()
    letters = np.array([*"ab5.,-'\"&;:!$%/()[]{}~ \n", "&quot;", "&amp;", "<skipped>", "é"])
    rng = np.random.default_rng(0)
    for _ in range(2000):
        text = "".join(rng.choice(letters, rng.integers(1, 12)))
        assert M.tokenize_13a(text) == tokenize(text).split(), text


@slow
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_rouge_and_error_rates_are_those_of_their_packages(rng):
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rouge2", "rougeL"])
    jiwer = pytest.importorskip("jiwer")
    hypotheses, references, _ = texts(rng)
    second = texts(rng)[1]
    rows = list(zip(references, second, strict=True))
    scores = [scorer.score_multi(row, hypothesis) for row, hypothesis in zip(rows, hypotheses, strict=True)]
    for name, metric in [
        ("rouge1", M.rouge_n(hypotheses, rows, 1)),
        ("rouge2", M.rouge_n(hypotheses, rows, 2)),
        ("rougeL", M.rouge_l(hypotheses, rows)),
    ]:
        np.testing.assert_allclose(metric.value(), np.mean([score[name].fmeasure for score in scores]), rtol=1e-12)
    lists = list(references), list(hypotheses)
    np.testing.assert_allclose(M.word_error_rate(hypotheses, references).value(), jiwer.wer(*lists), rtol=1e-12)
    np.testing.assert_allclose(M.character_error_rate(hypotheses, references).value(), jiwer.cer(*lists), rtol=1e-12)


@slow
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_words_that_match_are_those_of_jiwer_and_torchmetrics_or_more(rng):
    """jiwer takes any alignment with the fewest edits; torchmetrics as many as can match at most."""
    jiwer, theirs = pytest.importorskip("jiwer"), pytest.importorskip("torchmetrics.functional.text")
    equal = 0
    for hypothesis, reference, _ in zip(*texts(rng), strict=True):
        if not hypothesis.split():
            continue
        ours = M.word_information_preserved([hypothesis], [reference])
        words = jiwer.process_words(reference, hypothesis)
        assert ours.matches >= words.hits
        if ours.matches == words.hits:
            equal += 1
            np.testing.assert_allclose(M.match_error_rate([hypothesis], [reference]).value(), words.mer, rtol=1e-12)
            np.testing.assert_allclose([ours.value(), ours.lost()], [words.wip, words.wil], rtol=1e-12, atol=1e-12)
        if ours.matches == max(ours.hypothesis, ours.reference) - jiwer.wer(reference, hypothesis) * ours.reference:
            for metric, name in ((ours.value(), "preserved"), (ours.lost(), "lost")):
                value = getattr(theirs, f"word_information_{name}")([hypothesis], [reference])
                np.testing.assert_allclose(metric, value, rtol=1e-6, atol=1e-6)
            mer = theirs.match_error_rate([hypothesis], [reference])
            np.testing.assert_allclose(M.match_error_rate([hypothesis], [reference]).value(), mer, rtol=1e-6)
    assert equal > 8
