"""What a network sings, to be seen and heard: a chorale of its own, and melodies of others that it harmonises.

sung(params, sizes, pieces, key, temperature) -> songs      the network's settings and Bach's, side by side
published(folder, songs)                                    MIDI files, and a page that plays them
parallels(songs) -> metrics                                 fifths and octaves that teachers forbid
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from experiments.choir import Sizes, sing
from experiments.chorale_rows import columns, filled
from experiments.chorales import GRID, VOICES, Piece, notes, pitches
from jnn.data import write_midi
from jnn.files import write_whole
from jnn.param import Params
from jnn.strict_json import dumps

TEMPO = 76  # quarters a minute
ROWS = ("place", "until", "ahead")
FREE = -1  # a state that is to be drawn
THREE, ALL = (1, 2, 3), (0, 1, 2, 3)


class Song(NamedTuple):
    """A piece with a title, and the voices of it that a network has drawn."""

    title: str
    piece: Piece
    drawn: tuple[int, ...] = ()


def sung(params: Params, sizes: Sizes, pieces: Sequence[Piece], key: jax.Array, temperature: float) -> list[Song]:
    """Harmonised melodies of pieces beside the pieces; and, if a network can sing one itself, a chorale of its own.

    The chorale has the first piece's bars and fermatas. A melody is read as far as it is sung, and its next four
    quarters by a network that reads `ahead`.
    """
    longest = max(len(piece.states) for piece in pieces)
    asked = [*pieces, pieces[0]][: len(pieces) + (not sizes.ahead)]
    given = np.full((len(asked), longest, len(VOICES)), FREE, np.int32)
    for row, piece in enumerate(pieces):
        given[row, : len(piece.states), 0] = piece.states[:, 0]
    known = [columns(piece) for piece in asked]
    rows = {name: np.stack([filled(own[name], longest) for own in known], dtype=np.int32) for name in ROWS}
    draw = jax.jit(partial(sing, sizes=sizes, temperature=temperature))
    states = np.asarray(draw(params, rows=rows, given=given, key=key))
    drawn = [
        dataclasses.replace(piece, states=own[: len(piece.states)]) for piece, own in zip(asked, states, strict=True)
    ]
    pairs = [
        (Song(f"{_named(piece)}, harmonised", own, THREE), Song(f"{_named(piece)}, by Bach", piece))
        for piece, own in zip(pieces, drawn, strict=False)
    ]
    return [*itertools.chain(*pairs), *(Song("A chorale of its own", own, ALL) for own in drawn[len(pieces) :])]


def _named(piece: Piece) -> str:
    return piece.name.upper().replace("BWV", "BWV ")


def parallels(songs: Sequence[Song]) -> dict[str, float]:
    """Of how many moves of two voices, on quarters, one is from a fifth to a fifth or from an octave to an octave."""
    found = {}
    for name, drawn in (("parallels", THREE), ("parallels_bach", ())):
        moves, parallel = np.sum([_moves(song.piece) for song in songs if song.drawn == drawn], 0)
        found[name] = float(parallel / max(1, moves))
    return found


def _moves(piece: Piece) -> tuple[int, int]:
    """How often two voices move at once, and how often in parallel."""
    sounding = pitches(piece.states)[::GRID]
    moves = parallel = 0
    for upper, lower in itertools.combinations(ALL, 2):
        pair = sounding[:, [upper, lower]]
        both = (np.diff(pair, axis=0) != 0).all(1) & (pair[:-1] >= 0).all(1) & (pair[1:] >= 0).all(1)
        interval = (pair[:, 0] - pair[:, 1]) % 12
        moves += int(both.sum())
        parallel += int((both & (interval[1:] == interval[:-1]) & np.isin(interval[1:], (0, 7))).sum())
    return moves, parallel


def published(folder: Path, songs: Sequence[Song]) -> None:
    """Writes MIDI files below a folder, and a page beside them that plays all of them in a browser."""
    (folder / "midi").mkdir(parents=True, exist_ok=True)
    for song in songs:
        name = song.title.replace(",", "").replace(" ", "_")
        write_midi(folder / "midi" / f"{name}.mid", notes(song.piece.states), tempo=TEMPO)
    write_whole(folder / "chorales.html", page(songs))


def page(songs: Sequence[Song]) -> str:
    """The page: it stands alone, and asks for nothing."""
    template = (Path(__file__).parent / "player.html").read_text()
    content = dumps([_played(song.title, song.piece) for song in songs]).replace("<", "\\u003c")
    return template.replace("/*PIECES*/[]", content)


def _played(title: str, piece: Piece) -> dict:
    under = piece.until == 0
    return {
        "title": title,
        "steps": len(piece.states),
        "bars": np.flatnonzero(piece.place == 0).tolist(),
        "fermatas": np.flatnonzero(under & ~np.append(False, under[:-1])).tolist(),
        "voices": [
            [[int(note.onset * GRID), int(note.duration * GRID), note.pitch] for note in part.notes]
            for part in notes(piece.states)
        ],
    }
