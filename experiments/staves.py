"""A score as musicians read it: four voices on two staves, drawn by matplotlib without a font of its own.

    grand_staff(piece, bars=8, drawn=(1, 2, 3)) -> Figure

Lengths are in the spaces between two lines of a staff, y is 0 on the lowest line of the upper one. Stems of soprano and
tenor point up, those of alto and bass down; what is not a note's length is tied together from such.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Circle, Ellipse
from scipy.interpolate import splev, splprep

from experiments.chorales import GRID, SILENT, VOICES, Piece, pitches
from experiments.pictures import ACCENT, INK

SPACE = 0.095  # inches
STEP, MARGIN, SYSTEM = 1.2, 1.5, 25.0  # of a sixteenth; around; from a system to the next
BASS = -11.0  # the lowest line of the lower staff
LETTERS = "FCGDAEB"  # along the circle of fifths, from F natural
DEGREES = {letter: i for i, letter in enumerate("CDEFGAB")}
LOWEST_LINE = {0: 30, 1: 18}  # E4 and G2, in steps of the scale from C0
SHARPS, FLATS = (38, 35, 39, 36, 33, 37, 34), (34, 37, 33, 36, 32, 35, 31)  # of key signatures, on the upper staff
SIGNS = {-2: "♭♭", -1: "♭", 0: "♮", 1: "♯", 2: "♯♯"}
LENGTHS = (16, 12, 8, 6, 4, 3, 2, 1)  # that one note can have, in sixteenths
CLEF = """
    0.1 0.5  -0.45 0.95  -0.1 1.6  0.6 1.45  0.85 0.7  0.3 -0.1  -0.6 0.1  -1.05 1.0  -0.6 2.3  0.2 3.3  0.6 4.4
    0.35 5.3  0.0 4.6  0.1 3.0  0.45 0.0  0.45 -1.3  0.0 -1.8  -0.45 -1.4
"""  # the clef of G: its stroke, from the middle of the curl on the second line


def grand_staff(piece: Piece, *, bars: int = 8, columns: int = 4, drawn: Collection[int] = ()) -> Figure:
    """The first bars of a piece, so many in a line; voices that a network has drawn are blue."""
    starts = [0, *(np.flatnonzero(piece.place[1:] == 0) + 1).tolist(), len(piece.states)][: bars + 1]
    systems = [starts[i : i + columns + 1] for i in range(0, len(starts) - 1, columns)]
    head = 5.5 + abs(piece.fifths)
    width = head + 3 + STEP * max(system[-1] - system[0] for system in systems) + 2 * columns
    top, bottom = 9 + MARGIN, BASS - 5 - SYSTEM * (len(systems) - 1) - MARGIN
    figure = Figure(figsize=(SPACE * (width + 2 * MARGIN), SPACE * (top - bottom)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-MARGIN, width + MARGIN), ylim=(bottom, top))
    axes.axis("off")
    for i, system in enumerate(systems):
        _system(axes, piece, system, -SYSTEM * i, head, drawn, first=i == 0)
    return figure


def _system(axes: Axes, piece: Piece, starts: list[int], y: float, x: float, drawn: Collection[int], *, first: bool):
    begin = x + 3 * first
    spots = [begin + STEP * (start - starts[0]) + 2 * i for i, start in enumerate(starts)]
    for bottom in (y, y + BASS):
        for line in range(5):
            axes.plot([0, spots[-1]], [bottom + line] * 2, color=INK, lw=0.5, zorder=1)
    for spot in (0, *spots[1:]):
        axes.plot([spot] * 2, [y + BASS, y + 4], color=INK, lw=0.7)
    _clefs(axes, y)
    _key(axes, piece.fifths, y)
    if first and (beats := int(piece.place.max() + 1) // GRID) in (3, 4):
        for bottom in (y, y + BASS):
            for number, line in ((beats, 3), (4, 1)):
                axes.text(x + 0.6, bottom + line, f"{number}", **_font(3.1), fontweight="bold", family="serif")
    for spot, (start, end) in zip(spots, itertools.pairwise(starts), strict=False):
        _bar(axes, piece, start, end, spot + 1.6, y, drawn)


def _font(size: float) -> dict:
    return {"fontsize": size * SPACE * 72, "ha": "center", "va": "center_baseline", "color": INK}


def _clefs(axes: Axes, y: float) -> None:
    curve, _ = splprep(np.array(CLEF.split(), float).reshape(-1, 2).T, s=0)
    points = splev(np.linspace(0, 1, 200), curve)
    axes.plot(points[0] + 1.8, points[1] + y, color=INK, lw=1.3)
    axes.add_patch(Circle((1.45, y - 1.35), 0.3, color=INK))
    top = y + BASS + 3  # the clef of F
    axes.add_patch(Circle((1.1, top), 0.35, color=INK))
    axes.add_patch(Arc((1.5, top - 0.15), 2.0, 2.3, theta1=0, theta2=160, color=INK, lw=1.4))
    axes.add_patch(Arc((0.3, top - 0.15), 4.4, 5.4, theta1=-75, theta2=0, color=INK, lw=1.4))
    for dot in (0.5, -0.5):
        axes.add_patch(Circle((3.1, top + dot), 0.2, color=INK))


def _key(axes: Axes, fifths: int, y: float) -> None:
    places, sign = (SHARPS, "♯") if fifths > 0 else (FLATS, "♭")
    for i in range(abs(fifths)):
        for staff, bottom in ((0, y), (1, y + BASS)):
            at = bottom + (places[i] - 14 * staff - LOWEST_LINE[staff]) / 2
            axes.text(4.2 + i, at, sign, **_font(2.6))


def spelled(pitch: int, fifths: int) -> tuple[int, int]:
    """A pitch in a key of so many sharps: its step of the scale from C0, and by how many semitones that is raised.

    >>> spelled(61, 2), spelled(61, -3), spelled(68, 0)  # C sharp, D flat, and A minor's G sharp
    ((28, 1), (29, -1), (32, 1))
    """
    along = next(i for i in range(fifths - 3, fifths + 9) if 7 * i % 12 == pitch % 12)
    letter, alter = LETTERS[(along + 1) % 7], (along + 1) // 7
    natural = pitch - alter
    return 7 * (natural // 12 - 1) + DEGREES[letter], alter


def altered(step: int, fifths: int) -> int:
    """By how many semitones a key raises a step of the scale."""
    place = LETTERS.index("CDEFGAB"[step % 7])
    return (place < fifths) - (place >= 7 + fifths)


def pieces_of(length: int) -> Iterator[int]:
    """Lengths of notes that are tied together.

    >>> list(pieces_of(10))
    [8, 2]
    """
    while length:
        part = next(own for own in LENGTHS if own <= length)
        yield part
        length -= part


def _bar(axes: Axes, piece: Piece, start: int, end: int, x: float, y: float, drawn: Collection[int]) -> None:
    signs: dict[tuple[int, int], int] = {}  # accidentals of this bar, by staff and step
    heads: dict[tuple[int, int], int] = {}  # the step of the first voice of a staff, by the time
    notes = sorted(note for voice in range(len(VOICES)) for note in _notes(piece, voice, start, end))
    for at, voice, length, pitch, tied in notes:
        staff, colour = voice // 2, ACCENT if voice in drawn else INK
        if pitch < 0:
            spot = x + STEP * (at - start)
            axes.plot([spot, spot + 0.9], [y + BASS * staff + (2.6, 1.4)[voice % 2]] * 2, color=colour, lw=3.5)
            continue
        step, alter = spelled(pitch, piece.fifths)
        near = abs(heads.setdefault((staff, at), step) - step) == 1
        spot, level = x + STEP * (at - start) + 1.15 * near, y + BASS * staff + (step - LOWEST_LINE[staff]) / 2
        if signs.get((staff, step), altered(step, piece.fifths)) != alter and not tied:
            axes.text(spot - 1.25 - 1.15 * near, level, SIGNS[alter], **_font(2.6) | {"color": colour})
            signs[staff, step] = alter
        _note(axes, spot, level, y + BASS * staff, length, up=voice % 2 == 0, colour=colour)
        if tied:
            side = 0.7 if voice % 2 == 0 else -0.7
            tie = [level + side, level + 1.5 * side, level + side]
            axes.plot([spot - 2, spot - 1.2, spot - 0.5], tie, color=colour, lw=0.8)
        if voice == 0 and piece.until[at] == 0 and (at == 0 or piece.until[at - 1] > 0):
            axes.add_patch(Arc((spot, y + 6.3), 2.2, 1.8, theta1=0, theta2=180, color=INK, lw=1.1))
            axes.add_patch(Circle((spot, y + 6.7), 0.2, color=INK))


def _notes(piece: Piece, voice: int, start: int, end: int) -> Iterator[tuple[int, int, int, int, bool]]:
    """(step, voice, length, pitch or -1, whether it is tied to the one before) of a bar."""
    states = piece.states[start:end, voice]
    sounding = pitches(states)
    struck = states < SILENT // 2
    begins = [0, *(i for i in range(1, end - start) if struck[i] or sounding[i] != sounding[i - 1]), end - start]
    for begin, stop in itertools.pairwise(begins):
        at, tied = start + begin, sounding[begin] >= 0 and not struck[begin]
        for length in pieces_of(stop - begin):
            yield at, voice, length, int(sounding[begin]), bool(tied)
            at, tied = at + length, sounding[begin] >= 0


def _note(axes: Axes, x: float, y: float, bottom: float, length: int, *, up: bool, colour: str) -> None:
    """A head, its ledger lines, dot, stem and flags."""
    for line in (*range(-1, int(np.ceil(y - bottom)) - 1, -1), *range(5, int(np.floor(y - bottom)) + 1)):
        axes.plot([x - 1, x + 1], [bottom + line] * 2, color=INK, lw=0.5)
    hollow = length >= 8
    face = "white" if hollow else colour
    axes.add_patch(Ellipse((x, y), 1.3, 0.9, angle=20, facecolor=face, edgecolor=colour, lw=1.1, zorder=3))
    if length in (3, 6, 12):
        axes.add_patch(Circle((x + 1.15, y + 0.25), 0.17, color=colour, zorder=3))
    if length == 16:
        return
    side, tip = (0.6, y + 3.3) if up else (-0.6, y - 3.3)
    axes.plot([x + side] * 2, [y, tip], color=colour, lw=0.9, zorder=2)
    for flag in range((length < 4) + (length < 2)):
        begin = tip - 0.9 * flag if up else tip + 0.9 * flag
        axes.plot([x + side, x + side + 0.9], [begin, begin - 1.3 if up else begin + 1.3], color=colour, lw=1.3)
