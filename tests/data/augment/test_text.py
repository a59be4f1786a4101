"""Token noise and masking: rates, kinds and spans as the papers have them; special tokens and padding untouched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data.augment import mask_spans, mask_tokens, replace_tokens, word_dropout
from jnn.data.augment._masking import _lasts, _start_rate

KEY = jax.random.key(0)
LOW, HIGH, MASK = 5, 1000, 4
IDS = jax.random.randint(jax.random.key(1), (500, 80), LOW, HIGH)
masks = pytest.mark.parametrize("mask", [mask_tokens, mask_spans])


def test_replacing_and_dropping_have_their_rate():
    replaced = np.asarray(replace_tokens(IDS, 0.2, LOW, HIGH, lengths=None, key=KEY))
    assert abs((replaced != IDS).mean() - 0.2) < 0.01
    new = replaced[replaced != np.asarray(IDS)]
    assert new.min() < LOW + 5
    assert HIGH - 6 < new.max() < HIGH
    assert abs(new.mean() - (LOW + HIGH) / 2) < 15
    dropped = np.asarray(word_dropout(IDS, 0.3, 1, lengths=None, key=KEY))
    assert abs((dropped == 1).mean() - 0.3) < 0.01
    np.testing.assert_array_equal(dropped[dropped != 1], np.asarray(IDS)[dropped != 1])


@pytest.mark.parametrize("rate", [0, 1])
def test_rates_0_and_1_are_none_and_all(rate):
    for mask in (mask_tokens, mask_spans):
        assert (mask(IDS, MASK, LOW, HIGH, lengths=None, rate=rate, key=KEY).weights == rate).all()
    assert ((word_dropout(IDS, rate, 1, lengths=None, key=KEY) == 1) == rate).all()


@masks
def test_a_share_is_chosen_everywhere_alike_and_becomes_what_the_paper_says(mask):
    inputs, labels, weights = map(np.asarray, mask(IDS, MASK, LOW, HIGH, lengths=None, key=KEY))
    chosen = weights == 1
    np.testing.assert_array_equal(labels, IDS)
    np.testing.assert_array_equal(inputs[~chosen], labels[~chosen])
    assert set(np.unique(weights)) == {0, 1}
    assert abs(chosen.mean() - 0.15) < 0.01
    assert abs(chosen[:, :2].mean() - 0.15) < 0.05  # at the edges as elsewhere
    assert abs(chosen[:, -2:].mean() - 0.15) < 0.05
    kept, hidden = inputs[chosen] == labels[chosen], inputs[chosen] == MASK
    assert abs(hidden.mean() - 0.8) < 0.03
    assert abs(kept.mean() - 0.1) < 0.03
    assert abs((~kept & ~hidden).mean() - 0.1) < 0.03


def test_spans_have_the_length_of_the_paper_and_share_their_kind():
    lasts = _lasts(0.2, 10)
    assert abs(lasts.sum() - 3.8) < 0.05  # "a mean span length of 3.8", section 3.1
    inputs, _, weights = map(np.asarray, mask_spans(IDS, MASK, LOW, HIGH, lengths=None, rate=0.02, key=KEY))
    edges = np.diff(weights, axis=1, prepend=0, append=0)
    lengths = np.argwhere(edges < 0)[:, 1] - np.argwhere(edges > 0)[:, 1]
    assert 3.2 < lengths.mean() < 4.4
    assert lengths.max() >= 8
    changes = (inputs == MASK)[:, 1:] != (inputs == MASK)[:, :-1]
    inside = (weights[:, 1:] == 1) & (weights[:, :-1] == 1)
    assert changes[inside].mean() < 0.03  # only where two spans touch


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.15, 0.9, 1.0])
def test_spans_begin_as_often_as_their_rate_needs(rate):
    lasts = _lasts(0.3, 6)
    assert abs(1 - np.prod(1 - _start_rate(rate, lasts) * lasts) - rate) < 1e-9


@masks
def test_special_tokens_and_padding_are_never_chosen_and_never_drawn(mask):
    ids = IDS.at[:, 0].set(2).at[:, 40].set(HIGH)
    lengths = jnp.arange(500) % 81
    inputs, _, weights = map(np.asarray, mask(ids, MASK, LOW, HIGH, lengths=lengths, rate=0.9, key=KEY))
    special = np.asarray((ids < LOW) | (ids >= HIGH)) | (np.arange(80) >= np.asarray(lengths)[:, None])
    assert not weights[special].any()
    np.testing.assert_array_equal(inputs[special], np.asarray(ids)[special])
    assert set(np.unique(inputs[~special])) <= {MASK, *range(LOW, HIGH)}
    replaced = np.asarray(replace_tokens(ids, 0.9, LOW, HIGH, lengths=lengths, key=KEY))
    np.testing.assert_array_equal(replaced[special], np.asarray(ids)[special])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: replace_tokens(IDS, 2, 5, 9, lengths=None, key=KEY), ValueError, "replace_tokens: rate .*found 2"),
        (lambda: replace_tokens(IDS, 0.1, 9, 9, lengths=None, key=KEY), ValueError, "found low=9, high=9"),
        (lambda: replace_tokens(IDS * 1.0, 0.1, 5, 9, lengths=None, key=KEY), TypeError, "expected integers, found"),
        (lambda: word_dropout(IDS, -1, 1, lengths=None, key=KEY), ValueError, "word_dropout: rate .*found -1"),
        (
            lambda: mask_tokens(IDS, 7, LOW, HIGH, lengths=None, key=KEY),
            ValueError,
            r"mask_tokens: the mask must not be an ordinary token, found 7 in 5\.\.999",
        ),
        (
            lambda: mask_spans(IDS, 4, LOW, HIGH, lengths=None, stop=0.0, key=KEY),
            ValueError,
            r"mask_spans: stop lies in \(0, 1\] and longest is 1 or more, found 0.0, 10",
        ),
        (lambda: mask_spans(IDS, 4, LOW, HIGH, lengths=None, longest=0, key=KEY), ValueError, "found 0.2, 0"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda ids, o: replace_tokens(ids, 0.5, 5, 300, **o), "replace_tokens: the last id 299 does not fit uint8"),
        (lambda ids, o: word_dropout(ids, 0.5, 256, **o), "word_dropout: the unknown id 256 does not fit uint8"),
        (lambda ids, o: word_dropout(ids, 0.5, -1, **o), "word_dropout: the unknown id -1 does not fit uint8"),
        (lambda ids, o: mask_tokens(ids, 300, 5, 30, **o), "mask_tokens: the mask id 300 does not fit uint8"),
        (lambda ids, o: mask_spans(ids, 4, 5, 1000, **o), "mask_spans: the last id 999 does not fit uint8"),
    ],
)
def test_ids_that_would_wrap_around_are_one_clear_error(apply, message):
    with pytest.raises(ValueError, match=f"^{message}.*Cast the ids: ids.astype"):
        apply(jnp.full((2, 3), 7, jnp.uint8), {"lengths": None, "key": None})
