"""Kneser-Ney smoothing: n-grams of tokens and of whatever they are told from: what a network has to beat.

    model = KneserNey.fit(contexts, tokens, vocab)
    model.probability(contexts, tokens) -> (n,)

A context is a row of integers of at least 0, the most telling first: those last are given up first. Of a text it is the
tokens before, the nearest first.

Law: the probabilities of all tokens add up to 1 in every context, seen or not.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np


class _Order(NamedTuple):
    """Counts of one length of contexts. `contexts` and `pairs`, with a token, are sorted keys; ids are places there."""

    contexts: np.ndarray
    pairs: np.ndarray
    often: np.ndarray  # how often a pair was seen
    counts: np.ndarray  # the same for the longest contexts; else behind how many different longer ones
    totals: np.ndarray  # of a context, the sum of these
    kinds: np.ndarray  # how many different tokens it was seen with
    discount: float


@dataclasses.dataclass(frozen=True)
class KneserNey:
    """Interpolated Kneser-Ney, with a discount of each order: n1 / (n1 + 2 n2), of pairs that were seen once and twice.

    See "An Empirical Study of Smoothing Techniques for Language Modeling", Chen and Goodman, 1999.
    """

    orders: tuple[_Order, ...]
    base: int
    vocab: int

    @staticmethod
    def fit(contexts: np.ndarray, tokens: np.ndarray, vocab: int) -> KneserNey:
        """Counts contexts (n, order - 1) and the tokens (n,) behind them.

        >>> model = KneserNey.fit(np.array([[0], [1], [0]]), np.array([1, 0, 1]), 2)
        >>> float(model.probability(np.array([[0], [0]]), np.array([0, 1])).sum())
        1.0
        """
        base, ids = int(contexts.max(initial=0)) + 2, np.zeros(len(tokens), np.int64)
        keys, pairs, places, owners = [np.zeros(1, np.int64)], [], [], []
        for length in range(contexts.shape[1] + 1):
            if length:
                known, ids = np.unique(ids * base + contexts[:, length - 1], return_inverse=True)
                keys.append(known)
            kinds, first, place = np.unique(ids * vocab + tokens, return_index=True, return_inverse=True)
            pairs.append(kinds)
            places.append(place)
            owners.append(first)
        often = [np.bincount(place) for place in places]
        behind = [np.bincount(place[first]) for place, first in zip(places, owners[1:], strict=False)]
        orders = map(_order, keys, pairs, often, [*behind, often[-1]], [vocab] * len(keys))
        return KneserNey(tuple(orders), base, vocab)

    def shorter(self, length: int) -> KneserNey:
        """What `fit` would make of contexts that are cut to this length."""
        last = self.orders[length]
        last = _order(last.contexts, last.pairs, last.often, last.often, self.vocab)
        return dataclasses.replace(self, orders=(*self.orders[:length], last))

    def probability(self, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Of each token (n,) in its context (n, order - 1)."""
        found, ids = np.full(len(tokens), 1 / self.vocab), np.zeros(len(tokens), np.int64)
        for length, order in enumerate(self.orders):
            if length:
                ids = _place(order.contexts, ids, self.base, np.minimum(contexts[:, length - 1], self.base - 1))
            pair = _place(order.pairs, ids, self.vocab, tokens)
            counts = np.where(pair < 0, 0, order.counts[pair])
            own = np.maximum(counts - order.discount, 0) + order.discount * order.kinds[ids] * found
            found = np.where(ids < 0, found, own / order.totals[ids])
        return found


def _order(contexts: np.ndarray, pairs: np.ndarray, often: np.ndarray, counts: np.ndarray, vocab: int) -> _Order:
    once, twice = ((counts == n).sum() for n in (1, 2))
    totals = np.bincount(pairs // vocab, counts)
    discount = once / (once + 2 * twice) if once else 0.5  # something is always left for the unseen
    return _Order(contexts, pairs, often, counts, totals, np.bincount(pairs // vocab), float(discount))


def _place(keys: np.ndarray, ids: np.ndarray, base: int, values: np.ndarray) -> np.ndarray:
    """Where each id with its value is among sorted keys; -1 for those that are not, or whose id is none."""
    wanted = ids * base + values
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((ids >= 0) & (keys[place] == wanted), place, -1)
