"""Four-part chorales as arrays: soprano, alto, tenor and bass on a grid of sixteenths, and back to notes.

    chorales(data_dir) -> Split(train, validation, test)      pieces, no tune in two parts
    transpositions(pieces) -> pieces                          each by all semitones that the voices can sing
    notes(states) -> parts                                    for MIDI, the score and the page

What a voice does at a step is its state: it strikes a pitch (0 to 127), holds it (128 more), or rests. What is to be
told of a state, the states before it being known, is a token: a pitch, `HOLD` or `REST`.

Law: `notes` gives back the notes of the score, as far as they are on the grid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from jnn import data
from jnn.data import Bar, Note, Part

VOICES = ("Soprano", "Alto", "Tenor", "Bass")
GRID = 4  # steps of a quarter
HELD, SILENT, START, STATES = 128, 256, 257, 258  # states: held pitches begin at HELD; START is before the first step
HOLD, REST, TOKENS = 128, 129, 130
PLACES, UNTIL = 48, 33  # steps of the longest bar, and of what is before a fermata, the last of which is "far"
RUN, SHARED = 6, 0.4  # intervals of a run of a melody, and what share of its runs another setting has at least
SPLIT_SEED = 0


class Split(NamedTuple):
    """Pieces that train, validate and test."""

    train: list[Piece]
    validation: list[Piece]
    test: list[Piece]


@dataclasses.dataclass(frozen=True)
class Piece:
    """A chorale: states (t, 4), the place (t,) of each step in its bar, and how many steps remain `until` a fermata."""

    name: str
    states: np.ndarray
    place: np.ndarray
    until: np.ndarray
    fifths: int


def chorales(data_dir: str | None = None) -> Split:
    """Chorales of four voices on the grid. Of tunes, whose settings stay together, a tenth validates, a fifth tests."""
    found = [on_grid(name, parts) for name, parts in data.bach_chorales(data_dir).items()]
    pieces = [piece for piece in found if piece is not None]
    numbers = tunes(pieces)
    order = np.random.default_rng(SPLIT_SEED).permutation(max(numbers) + 1)  # of a tune, its place
    share = order[numbers] / len(order)
    within = lambda low, high: [piece for piece, at in zip(pieces, share, strict=True) if low <= at < high]
    return Split(within(0.3, 1), within(0.2, 0.3), within(0, 0.2))


def on_grid(name: str, parts: Sequence[Part]) -> Piece | None:
    """A piece, of the parts that are named as voices are; None where each is not there once, or is not on the grid."""
    sung = {voice: [part for part in parts if part.name.split()[:1] == [voice]] for voice in VOICES}
    if any(len(named) != 1 for named in sung.values()):
        return None
    four = [named[0] for named in sung.values()]
    if any(time * GRID % 1 for part in four for note in part.notes for time in note[:2]):
        return None
    bars = four[0].bars
    steps = int((bars[-1].onset + bars[-1].length) * GRID)
    states = np.stack([_states(part.notes, steps) for part in four], 1)
    return Piece(name, states, _places(bars, steps), _until(four[0].notes, steps), four[0].fifths)


def _states(notes: Sequence[Note], steps: int) -> np.ndarray:
    states = np.full(steps, SILENT)
    for note in notes:
        begin, end = (int(time * GRID) for time in (note.onset, note.onset + note.duration))
        states[begin:end] = note.pitch + HELD
        states[begin : begin + 1] = note.pitch
    return states


def _places(bars: Sequence[Bar], steps: int) -> np.ndarray:
    """Of each step its place in its bar, which an upbeat ends; a short bar behind a short one goes on with it."""
    places, now = np.zeros(steps, int), bars[0].full - bars[0].length
    for bar in bars:
        if now + bar.length > bar.full:
            now = Fraction(0)
        begin, count = int(bar.onset * GRID), int(bar.length * GRID)
        places[begin : begin + count] = int(now * GRID) + np.arange(count)
        now += bar.length
    return places % PLACES


def _until(melody: Sequence[Note], steps: int) -> np.ndarray:
    """How many steps there are until the next note of the melody with a fermata; 0 under one, and a limit beyond."""
    until, left = np.zeros(steps, int), UNTIL - 1
    under = np.zeros(steps, bool)
    for note in melody:
        under[int(note.onset * GRID) : int((note.onset + note.duration) * GRID)] = note.fermata
    for step in reversed(range(steps)):
        left = 0 if under[step] else min(left + 1, UNTIL - 1)
        until[step] = left
    return until


def pitches(states: np.ndarray) -> np.ndarray:
    """The pitches that sound, and -1 where none does."""
    return np.where(states < SILENT, states % HELD, -1)


def tokens(states: Any) -> Any:
    """What is to be told of states; for arrays of any library."""
    held, silent = (states >= HELD) & (states < SILENT), states >= SILENT
    return states * ~(held | silent) + HOLD * held + REST * silent


def tunes(pieces: Sequence[Piece]) -> list[int]:
    """The number of each piece's tune: two are of one if either's melody has, on quarters, enough of the other's runs.

    What is of one tune with a third is of one.
    """
    numbers: list[int] = list(range(len(pieces)))
    runs = [_runs(pitches(piece.states[:, 0])[::GRID]) for piece in pieces]
    for i, own in enumerate(runs):
        for j, other in enumerate(runs[:i]):
            if len(own & other) >= SHARED * max(1, min(len(own), len(other))):
                numbers = [numbers[i] if number == numbers[j] else number for number in numbers]
    places = {number: place for place, number in enumerate(dict.fromkeys(numbers))}
    return [places[number] for number in numbers]


def _runs(melody: np.ndarray) -> set[tuple[int, ...]]:
    intervals = np.diff(melody[melody >= 0])
    if len(intervals) < RUN:
        return {tuple(intervals.tolist())}
    return set(map(tuple, np.lib.stride_tricks.sliding_window_view(intervals, RUN).tolist()))


def transpositions(pieces: Iterable[Piece], most: int = 6) -> list[Piece]:
    """Pieces, moved by all semitones, up to so many, that keep each voice in the range of all pieces."""
    pieces = list(pieces)
    ranges = [_range(piece.states) for piece in pieces]
    low, high = np.min([low for low, _ in ranges], 0), np.max([high for _, high in ranges], 0)
    return [
        dataclasses.replace(piece, states=piece.states + by * (piece.states < SILENT))
        for piece, (lowest, highest) in zip(pieces, ranges, strict=True)
        for by in range(-most, most + 1)
        if (lowest + by >= low).all() and (highest + by <= high).all()
    ]


def _range(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest pitch of each voice."""
    sounding = np.ma.masked_less(pitches(states), 0)
    return sounding.min(0).filled(127), sounding.max(0).filled(0)


def notes(states: np.ndarray) -> list[Part]:
    """Parts of states (t, 4)."""
    return [Part(voice, _notes(states[:, i]), [], 0) for i, voice in enumerate(VOICES)]


def _notes(states: np.ndarray) -> list[Note]:
    """Notes of one voice; a note that is held without having been struck begins there."""
    found: list[Note] = []
    for step, state in enumerate(states.tolist()):
        if state >= SILENT:
            continue
        now, pitch = Fraction(step, GRID), state % HELD
        goes_on = state >= HELD and found and found[-1].pitch == pitch and found[-1].onset + found[-1].duration == now
        if goes_on:
            found[-1] = found[-1]._replace(duration=found[-1].duration + Fraction(1, GRID))
        else:
            found.append(Note(now, Fraction(1, GRID), pitch))
    return found
