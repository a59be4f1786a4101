"""What a network that hears writes down, by six decoders; how often that is wrong, and where it heard each digit.

heard_as(p, batch, table, weights, beams=...) -> method -> labels
write(p, part, ...) -> method -> texts               of all strings, in batches
word_error_rates(texts, part) -> method -> rate
choose_weights(p, part, ...) -> weights              how much an n-gram has to say, by the strings that validate
perplexity(table, labels, lengths) -> number         of strings, by an n-gram
align(p, part) -> places (n, frames)                 which digit each frame says
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import numpy as np

import jnn
from experiments.chunks import in_chunks
from experiments.spoken_strings import KINDS, LEVELS, MOST, Arrays, at_levels, spelled, text
from experiments.transcriber import HOP, STRIDE, SYMBOLS, ctc_logits, hear, join, predict
from jnn.decoding import (
    Hypotheses,
    ctc_beam_search,
    ctc_greedy_decode,
    ngram_log_probs,
    ngram_table,
    transducer_beam_search,
    transducer_greedy_decode,
)
from jnn.losses import ctc_alignment

Weights = tuple[float, float]  # of the n-gram beside CTC, and beside the transducer
WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0)
ROWS = 50  # of a batch
TUNING, TEST = 3, 4  # seeds of strings
TEXT, ORDER = 10_000, 3  # strings that the n-gram is counted on, and its n

Rates = dict[str, dict[int, dict[str, float]]]  # by kind of string, decibels and method


def measure(
    p: jnn.Params, validating: Arrays, testing: Arrays, n: int, beams: int
) -> tuple[Rates, dict[str, float], dict[int, Arrays]]:
    """Word error rates of n strings of each kind; these and all other numbers by name; and the language's strings."""
    table = ngram_table(*text(TEXT), symbols=SYMBOLS, order=ORDER)
    weights = choose_weights(p, at_levels(validating, "language", n, TUNING)[LEVELS[1]], table, beams)
    tests = {kind: at_levels(testing, kind, n, TEST) for kind in KINDS}
    rated = lambda part: word_error_rates(write(p, part, table, weights, beams), part)
    rates = {kind: {level: rated(part) for level, part in parts.items()} for kind, parts in tests.items()}
    own = tests["language"]
    numbers = dict(zip(("ctc_weight", "transducer_weight"), weights, strict=True))
    numbers["perplexity"] = perplexity(table, own[LEVELS[0]]["y"], own[LEVELS[0]]["digits"])
    for level, part in own.items():
        numbers[f"aligned_{level}db"] = share_within(np.asarray(align(p, part)[0]), part)
    for kind, by_level in rates.items():
        for level, each in by_level.items():
            numbers |= {f"{kind}_{level}db_{method}": rate for method, rate in each.items()}
    return rates, numbers, own


@functools.partial(jax.jit, static_argnames="beams")
def heard_as(p: jnn.Params, batch: Arrays, table: jax.Array, weights: Weights, *, beams: int) -> dict[str, Hypotheses]:
    """The labels of each string, by each of both networks' greedy decoder, search, and search with an n-gram."""
    frames, lengths = hear(p, batch["x"], batch["samples"], key=None, rate=0.0)
    logits, networks = ctc_logits(p, frames), [functools.partial(f, p) for f in (predict, join)]
    how = {"beams": beams, "most": MOST}
    spoken = [lambda y, n, weight=weight: weight * ngram_log_probs(table, y, n) for weight in weights]
    found = {
        "ctc_beam": ctc_beam_search(logits, lengths, **how),
        "ctc_ngram": ctc_beam_search(logits, lengths, **how, language=spoken[0]),
        "transducer_beam": transducer_beam_search(frames, lengths, *networks, **how),
        "transducer_ngram": transducer_beam_search(frames, lengths, *networks, **how, language=spoken[1]),
    }
    return {
        "ctc_greedy": ctc_greedy_decode(logits, lengths),
        "transducer_greedy": transducer_greedy_decode(frames, lengths, *networks, most=MOST),
        **{method: jax.tree.map(lambda x: x[:, 0], each) for method, each in found.items()},
    }


def write(p: jnn.Params, part: Arrays, table: jax.Array, weights: Weights, beams: int) -> dict[str, list[str]]:
    """Texts of all strings, by method."""
    heard = lambda batch: heard_as(p, batch, table, weights, beams=beams)
    found = in_chunks(heard, {name: part[name] for name in ("x", "samples")}, ROWS)
    return {method: spelled(found[method].labels, found[method].lengths) for method in sorted(found)}


def word_error_rates(texts: Mapping[str, list[str]], part: Arrays) -> dict[str, float]:
    """By method; a digit is a word."""
    wanted = spelled(part["y"], part["digits"])
    return {method: float(jnn.metrics.word_error_rate(own, wanted).value()) for method, own in texts.items()}


def choose_weights(p: jnn.Params, part: Arrays, table: jax.Array, beams: int) -> Weights:
    """Those of `WEIGHTS` with the fewest errors, of equal ones the least."""
    tried = [word_error_rates(write(p, part, table, (weight, weight), beams), part) for weight in WEIGHTS]
    best = lambda method: WEIGHTS[int(np.argmin([rates[method] for rates in tried]))]
    return best("ctc_ngram"), best("transducer_ngram")


def perplexity(table: jax.Array, labels: np.ndarray, lengths: np.ndarray) -> float:
    """How many labels, the end among them, each is as uncertain as a choice of, to an n-gram."""
    after = np.pad(labels, ((0, 0), (0, 1)))
    told = 0.0
    for place in range(MOST + 1):
        log_p = np.asarray(ngram_log_probs(table, labels, np.full(len(labels), place)))
        told += log_p[np.arange(len(labels)), after[:, place]][place <= lengths].sum()
    return float(np.exp(-told / (lengths + 1).sum()))


@jax.jit
def align(p: jnn.Params, part: Arrays) -> tuple[jax.Array, jax.Array]:
    """Which digit of the string each frame says, -1 for none, (n, t); and how likely each symbol is there (n, t, v)."""
    frames, lengths = hear(p, part["x"], part["samples"], key=None, rate=0.0)
    logits = ctc_logits(p, frames)
    return ctc_alignment(logits, part["y"], lengths, part["digits"]).places, jax.nn.softmax(logits)


def share_within(places: np.ndarray, part: Arrays) -> float:
    """The share of digits that are heard, by the middle of the frames that say them, while they are spoken."""
    says = places[:, None] == np.arange(MOST)[:, None]  # (n, MOST, t)
    at = (says * np.arange(places.shape[1])).sum(-1) / np.maximum(says.sum(-1), 1) * HOP * STRIDE
    within = (part["spans"][..., 0] <= at) & (at <= part["spans"][..., 1])
    return float(within[says.any(-1)].mean())
