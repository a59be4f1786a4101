"""What n-grams make of chorales: a voice's token is told from its own last state, the voices above it, and so on.

    counted(data, trains) -> {"ngram_loss": ..., "ngram_soprano": ..., "ngram_lengths": ...}

The counts are of the same pieces that a network trains on, and tell what it tells, in the same order; how long contexts
are is chosen for each voice on the pieces that validate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.chorale_rows import columns
from experiments.chorales import TOKENS, VOICES, Piece, Split, tokens
from experiments.kneser_ney import KneserNey


def counted(data: Split, trains: Sequence[Piece]) -> dict[str, float | list[int]]:
    """Nats a step, of all voices and of each, on the pieces that test; and how long the contexts are."""
    losses, lengths = [], []
    for voice in range(len(VOICES)):
        (seen, sung), validates, tests = (_rows(pieces, voice) for pieces in (trains, data.validation, data.test))
        longest = KneserNey.fit(seen, sung, TOKENS)
        models = [longest.shorter(length) for length in range(1, seen.shape[1] + 1)]
        best = min(models, key=lambda model: _loss(model, *validates))
        losses.append(_loss(best, *tests))
        lengths.append(len(best.orders) - 1)
    each = {f"ngram_{voice.lower()}": loss for voice, loss in zip(VOICES, losses, strict=True)}
    return {"ngram_loss": sum(losses), **each, "ngram_lengths": lengths}


def _loss(model: KneserNey, contexts: np.ndarray, sung: np.ndarray) -> float:
    contexts = contexts[:, : len(model.orders) - 1]
    return float(-np.log(model.probability(contexts, sung)).mean())


def _rows(pieces: Sequence[Piece], voice: int) -> tuple[np.ndarray, np.ndarray]:
    contexts = np.concatenate([_contexts(piece, voice) for piece in pieces])
    return contexts, np.concatenate([tokens(piece.states[:, voice]) for piece in pieces])


def _contexts(piece: Piece, voice: int) -> np.ndarray:
    """What a voice hangs on, the most telling first: (t, 9)."""
    known = columns(piece)
    state, now, under_fermata = known["state"], known["now"], piece.until == 0
    above = [now[:, other] for other in reversed(range(voice))]
    below = [state[:, other] for other in reversed(range(voice + 1, len(VOICES)))]
    earlier = [np.concatenate([state[:1, voice].repeat(by), state[:-by, voice]])[: len(state)] for by in (1, 2, 4, 8)]
    return np.stack([state[:, voice], 2 * (piece.place % 4) + under_fermata, *above, *below, *earlier], 1)
