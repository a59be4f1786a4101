"""Decoders against brute force over all strings: paths, prefix searches of CTC and of a transducer, with a language."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.decoding import (
    ctc_beam_search,
    ctc_greedy_decode,
    ngram_log_probs,
    ngram_table,
    transducer_beam_search,
    transducer_greedy_decode,
)
from jnn.losses import ctc_loss, transducer_loss
from tests.losses.test_sequence_losses import spelled
from tests.oracle import configurations

FRAMES, SYMBOLS, MOST = 4, 3, 3
ALL = [string for n in range(MOST + 1) for string in itertools.product(range(1, SYMBOLS), repeat=n)]
LABELS = np.array([string + (0,) * (MOST - len(string)) for string in ALL], np.int32)
COUNTS = np.array([len(string) for string in ALL], np.int32)
LENGTHS = np.array([4, 3, 2], np.int32)


def network(rng):
    """A prediction network that remembers the order of all labels, a joint network, and both at once as a table."""
    a, b, c = (jnp.asarray(rng.normal(size=size), jnp.float32) for size in ((4, 4), (SYMBOLS, 4), (4, SYMBOLS)))

    def predict(carry, labels):
        carry = jnp.zeros((len(labels), 4)) if carry is None else carry
        carry = jnp.tanh(carry @ a + b[labels])
        return carry, carry

    join = lambda frames, said: 3 * jnp.tanh(frames + said) @ c
    return predict, join


def joint_logits(predict, join, frames):
    """(strings, t, u + 1, v): of one example's frames, after each beginning of each string."""
    carry, said = predict(None, jnp.zeros(len(ALL), jnp.int32))
    steps = [said]
    for labels in LABELS.T:
        carry, said = predict(carry, jnp.asarray(labels))
        steps.append(said)
    pairs = [[join(jnp.broadcast_to(f, (len(ALL), 4)), said) for said in steps] for f in frames]
    return jnp.moveaxis(jnp.array(pairs), 2, 0)


def language(rng):
    """A table of what each label and each end adds, some of which never are."""
    table = rng.normal(size=(SYMBOLS,) * 3).astype(np.float32)
    table[1, 2, 1] = table[2, 0] = -np.inf
    adds = lambda labels, lengths: ngram_log_probs(jnp.asarray(table), labels, lengths)

    def whole(string):
        told, before = 0.0, (0, 0)
        for label in (*string, 0):
            told, before = told + table[(*before, label)], (before[1], label)
        return told

    return adds, np.array([whole(string) for string in ALL])


def assert_found(found, row, expected):
    """What a search with a beam for every string found is all there is, in order."""
    found = jax.tree.map(np.asarray, found)
    order = np.argsort(-expected, kind="stable")[: np.isfinite(expected).sum()]
    n = len(order)
    np.testing.assert_allclose(found.scores[row, :n], expected[order], rtol=1e-4, atol=1e-4)
    assert np.isneginf(found.scores[row, n:]).all()
    strings = [tuple(x[:k].tolist()) for x, k in zip(found.labels[row, :n], found.lengths[row, :n], strict=True)]
    assert len(set(strings)) == n
    scores = np.array([expected[ALL.index(string)] for string in strings])
    np.testing.assert_allclose(scores, expected[order], rtol=1e-4, atol=1e-4)
    assert (np.where(np.arange(MOST) < found.lengths[row, :, None], 0, found.labels[row]) == 0).all()


@pytest.mark.parametrize("rng", configurations(fast=range(3)), ids=range(20))
def test_ctc_finds_every_string_with_minus_its_loss(rng):
    logits = rng.normal(scale=2, size=(3, FRAMES, SYMBOLS)).astype(np.float32)
    adds, told = language(rng)
    search = lambda x, n, how: ctc_beam_search(x, n, beams=2 * len(ALL), most=MOST, language=how)
    plain, spoken = jax.jit(lambda x, n: (search(x, n, None), search(x, n, adds)))(logits, LENGTHS)
    every = lambda x, n: -ctc_loss(jnp.broadcast_to(x, (len(ALL), *x.shape)), LABELS, jnp.repeat(n, len(ALL)), COUNTS)
    expected = np.array(jax.jit(jax.vmap(every))(logits, LENGTHS))
    for row in range(3):
        assert_found(plain, row, expected[row])
        assert_found(spoken, row, expected[row] + told)


@pytest.mark.slow
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_ctc_finds_what_pyctcdecode_finds(rng):
    """With beams wide enough for all there is: it keeps a string once for each way that it may end."""
    pyctcdecode = pytest.importorskip("pyctcdecode")
    frames, symbols = int(rng.integers(2, 7)), int(rng.integers(2, 5))
    logits = rng.normal(scale=2, size=(frames, symbols)).astype(np.float32)
    everything = {"beam_width": 20_000, "beam_prune_logp": -1e9, "token_min_logp": -1e9}
    theirs = pyctcdecode.build_ctcdecoder(["", *"abcd"[: symbols - 1]]).decode_beams(logits, **everything)[:5]
    ours = ctc_beam_search(jnp.asarray(logits), jnp.array(frames), beams=500, most=frames)
    for row, beam in enumerate(theirs):
        own = "".join("abcd"[label - 1] for label in ours.labels[row, : ours.lengths[row]].tolist())
        assert own == beam[0]
        np.testing.assert_allclose(ours.scores[row], beam[-2], atol=1e-4)


@pytest.mark.parametrize("rng", configurations(fast=range(3)), ids=range(20))
def test_a_transducer_finds_every_string_with_minus_its_loss(rng):
    frames = jnp.asarray(rng.normal(scale=2, size=(3, FRAMES, 4)), jnp.float32)
    (predict, join), (adds, told) = network(rng), language(rng)
    search = lambda x, n, how: transducer_beam_search(x, n, predict, join, beams=40, most=MOST, language=how)

    @jax.jit
    def all_of_it(frames, lengths):
        logits = jax.vmap(lambda one: joint_logits(predict, join, one))(frames)
        lengths_of = jnp.broadcast_to(lengths[:, None], (3, len(ALL)))
        labels, counts = (jnp.broadcast_to(x, (3, *x.shape)) for x in (LABELS, COUNTS))
        losses = transducer_loss(logits, labels, lengths_of, counts)
        return search(frames, lengths, None), search(frames, lengths, adds), -losses

    plain, spoken, expected = all_of_it(frames, LENGTHS)
    for row in range(3):
        assert_found(plain, row, np.asarray(expected[row]))
        assert_found(spoken, row, expected[row] + told)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_greedy_paths(rng):
    """Against loops in Python."""
    blank = int(rng.integers(SYMBOLS))
    logits = rng.normal(scale=2, size=(3, 9, SYMBOLS)).astype(np.float32)
    lengths = np.array([9, 5, 0], np.int32)
    found = jax.jit(lambda x, n: ctc_greedy_decode(x, n, blank=blank))(logits, lengths)
    for row, n in enumerate(lengths):
        wanted = spelled(logits[row, :n].argmax(-1), blank)
        assert tuple(found.labels[row, : found.lengths[row]].tolist()) == wanted
        log_p = jax.nn.log_softmax(logits[row, :n])
        np.testing.assert_allclose(found.scores[row], log_p.max(-1).sum(), rtol=1e-5, atol=1e-6)


def greedily(predict, join, frames, most):
    """A transducer's labels by its definition, one example at a time, and their log-probability."""
    (carry, said), labels, total = predict(None, jnp.zeros(1, jnp.int32)), [], 0.0
    for frame in frames:
        while True:
            log_p = np.asarray(jax.nn.log_softmax(join(frame[None], said)[0]))
            label = int(log_p.argmax()) if len(labels) < most else 0
            total += log_p[label]
            if label == 0:
                break
            labels.append(label)
            carry, said = predict(carry, jnp.array([label]))
    return labels, total


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_a_transducer_speaks_until_blanks_are_likelier(rng):
    predict, join = network(rng)
    frames = jnp.asarray(rng.normal(scale=2, size=(2, 5, 4)), jnp.float32)
    lengths = np.array([5, 3], np.int32)
    found = jax.jit(lambda x, n: transducer_greedy_decode(x, n, predict, join, most=6))(frames, lengths)
    for row, n in enumerate(lengths):
        labels, total = greedily(predict, join, frames[row, :n], 6)
        assert found.labels[row, : found.lengths[row]].tolist() == labels
        np.testing.assert_allclose(found.scores[row], total, rtol=1e-4, atol=1e-5)


def decoders(rng):
    """name -> (x, lengths) -> Hypotheses, of x (..., t, 4)."""
    predict, join = network(rng)
    return {
        "ctc_greedy": ctc_greedy_decode,
        "ctc_beam": lambda x, n: ctc_beam_search(x, n, beams=3, most=4),
        "transducer_greedy": lambda x, n: transducer_greedy_decode(x, n, predict, join, most=4),
        "transducer_beam": lambda x, n: transducer_beam_search(x, n, predict, join, beams=3, most=4),
    }


@pytest.mark.parametrize("name", decoders(np.random.default_rng(0)))
def test_padded_is_alone_axes_are_free_and_jit_is_eager(name):
    decode = decoders(np.random.default_rng(1))[name]
    x = np.random.default_rng(2).normal(scale=3, size=(2, 2, 5, 4)).astype(np.float32)
    lengths = np.array([[5, 3], [2, 0]], np.int32)
    padded = x.copy()
    padded[np.arange(5) >= lengths[..., None]] = np.nan
    found = jax.jit(decode)(padded, lengths)
    assert all(a.shape[:2] == (2, 2) for a in found)
    compared = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    jax.tree.map(compared, decode(jnp.asarray(padded), lengths), found)
    one = jax.tree.map(lambda a: a[0, 1], found)
    alone = decode(jnp.asarray(x[0, 1, :3]), jnp.array(3))
    if name == "ctc_greedy":  # which has room for as many labels as frames
        alone = alone._replace(labels=jnp.pad(alone.labels, (0, 2)))
    jax.tree.map(compared, one, alone)
    assert jax.eval_shape(decode, x.astype(jnp.bfloat16), lengths).scores.dtype == jnp.float32
    nothing = jax.tree.map(lambda a: np.asarray(a[1, 1]), found)
    assert (nothing.lengths == 0).all() or name == "transducer_beam"
    assert np.isneginf(nothing.scores if "transducer" in name else nothing.scores.ravel()[1:]).all()


@pytest.mark.parametrize("name", decoders(np.random.default_rng(0)))
def test_bad_input_is_one_clear_error(name):
    decode = decoders(np.random.default_rng(1))[name]
    x = jnp.ones((2, 5, 4))
    with pytest.raises(ValueError, match=r"decode|search: expected lengths in 0..5 \(there are 5 frames\), found 4..6"):
        decode(x, jnp.array([4, 6]))
    with pytest.raises(ValueError, match=r"expected lengths \(2,\), one an example of float32\[2,5,4\]"):
        decode(x, jnp.array([4, 4, 4]))
    with pytest.raises(TypeError, match="expected integers, found float32"):
        decode(x, jnp.ones(2))
    with pytest.raises(TypeError, match="expected floating-point input, found int32"):
        decode(jnp.ones((2, 5, 4), int), jnp.array([4, 4]))
    scores = jax.jit(decode)(x, jnp.array([4, 6])).scores
    assert np.isnan(scores).reshape(2, -1).any(1).tolist() == [False, True]


def test_more_that_does_not_fit():
    x, n = jnp.ones((5, 4)), jnp.array(5)
    with pytest.raises(TypeError, match="ctc_greedy_decode: expected an array for x, found list"):
        ctc_greedy_decode([[0.0]], n)
    predict = lambda carry, labels: (labels, jnp.zeros((len(labels), 4)))
    with pytest.raises(ValueError, match=r"expected a blank in 0\.\.3, found 4"):
        ctc_greedy_decode(x, n, blank=4)
    with pytest.raises(ValueError, match=r"what join gives: expected a blank in 0\.\.3, found -1"):
        transducer_greedy_decode(x, n, predict, lambda f, g: f, most=2, blank=-1)
    with pytest.raises(ValueError, match="expected beams of 1 or more, found 0"):
        ctc_beam_search(x, n, beams=0, most=2)
    with pytest.raises(ValueError, match="expected most of 1 or more, found 0"):
        transducer_beam_search(x, n, predict, lambda f, g: f, beams=2, most=0)
    with pytest.raises(ValueError, match=r"language: expected numbers \(2, 4\), found float32\[2\]"):
        ctc_beam_search(x, n, beams=2, most=2, language=lambda labels, lengths: jnp.zeros(2))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_an_ngram_is_what_was_counted_and_a_distribution(order):
    rng = np.random.default_rng(order)
    labels, lengths = rng.integers(1, 4, (30, 4)), rng.integers(0, 5, 30)
    table = ngram_table(labels, lengths, symbols=4, order=order, strength=1e-6)
    assert table.shape == (4,) * order
    np.testing.assert_allclose(np.exp(table).sum(-1), 1, rtol=1e-5)
    strings = [(0,) * (order - 1) + tuple(row[:n]) + (0,) for row, n in zip(labels.tolist(), lengths, strict=True)]
    grams = [string[i : i + order] for string in strings for i in range(len(string) - order + 1)]
    for gram in set(grams):
        share = grams.count(gram) / sum(other[:-1] == gram[:-1] for other in grams)
        np.testing.assert_allclose(np.exp(table[gram]), share, rtol=1e-4)
    found = ngram_log_probs(table, jnp.asarray(labels), jnp.asarray(lengths))
    wanted = [table[((0,) * (order - 1) + tuple(row[:n]))[n:]] for row, n in zip(labels, lengths, strict=True)]
    np.testing.assert_array_equal(found, np.array(wanted))


def test_what_was_never_seen_is_as_likely_as_after_one_label_less():
    one = ngram_table(np.array([[1, 2]]), np.array([2]), symbols=4, order=1, strength=2.0)
    two = ngram_table(np.array([[1, 2]]), np.array([2]), symbols=4, order=2, strength=2.0)
    np.testing.assert_allclose(np.exp(one), np.array([1.5, 1.5, 1.5, 0.5]) / 5, rtol=1e-6)
    np.testing.assert_allclose(two[3], one, rtol=1e-6)
    np.testing.assert_allclose(np.exp(two[1]), (np.exp(one) * 2 + np.eye(4)[2]) / 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"order": 0}, "expected order of 1 or more, found 0"),
        ({"strength": 0.0}, "expected strength > 0, found 0"),
        ({"lengths": np.array([3])}, r"expected lengths in 0\.\.2"),
        ({"lengths": np.array([1, 1])}, r"expected labels \(n, u\) and lengths \(n,\), found \(1, 2\) and \(2,\)"),
        ({"labels": np.zeros((0, 2), int), "lengths": np.zeros(0, int)}, "expected at least one example"),
        ({"labels": np.array([[0, 1]])}, r"expected labels in 0\.\.2 other than the blank 0"),
        ({"blank": -1}, r"expected a blank in 0\.\.2, found -1"),
        ({"blank": 3}, r"expected a blank in 0\.\.2, found 3"),
    ],
)
def test_an_ngram_of_what_does_not_fit(how, message):
    given = {"labels": np.array([[1, 2]]), "lengths": np.array([2]), "symbols": 3, "order": 2} | how
    with pytest.raises(ValueError, match=message):
        ngram_table(**given)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_string_that_an_ngram_knows_nothing_of(order):
    """An error where it is seen; NaN under jit, in its own row."""
    table, asked = jnp.zeros((3,) * order), (jnp.array([[1, 2], [2, 1]]), jnp.array([2, 1]))
    for labels, lengths, message in (
        (asked[0], jnp.array([2, 9]), r"expected lengths in 0\.\.2 \(there are 2 labels\), found 2\.\.9"),
        (asked[0], jnp.array([2, -3]), r"expected lengths in 0\.\.2 \(there are 2 labels\), found -3\.\.2"),
        (jnp.array([[1, 2], [7, 1]]), asked[1], r"expected labels in 0\.\.2 \(3 symbols\), found 0\.\.7"),
        (jnp.array([[1, 2], [-1, 1]]), asked[1], r"expected labels in 0\.\.2 \(3 symbols\), found -1\.\.2"),
    ):
        with pytest.raises(ValueError, match=f"ngram_log_probs: {message}"):
            ngram_log_probs(table, labels, lengths)
        found = jax.jit(ngram_log_probs)(table, labels, lengths)
        assert np.isnan(found).tolist() == [[False] * 3, [True] * 3]
    beyond = jnp.array([[1, 2], [2, 7]])
    np.testing.assert_array_equal(ngram_log_probs(table, beyond, asked[1]), np.zeros((2, 3)))


def test_a_table_that_is_none():
    asked = jnp.array([[1, 2]]), jnp.array([2])
    with pytest.raises(ValueError, match=r"ngram_log_probs: expected a blank in 0\.\.2, found 9"):
        ngram_log_probs(jnp.zeros((3, 3)), *asked, blank=9)
    with pytest.raises(ValueError, match=r"ngram_log_probs: expected a table \(v,\) \* n, found float32\[3,4\]"):
        ngram_log_probs(jnp.zeros((3, 4)), *asked)
    with pytest.raises(TypeError, match="ngram_log_probs: expected floating-point input, found int32"):
        ngram_log_probs(jnp.zeros((3, 3), int), *asked)
