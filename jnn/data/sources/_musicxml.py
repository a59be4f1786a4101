"""Scores in MusicXML, plain (.xml, .musicxml) or packed (.mxl): the notes of each part, in quarters from its beginning.

    part-list      the parts by name
    part           measures, in which notes, rests, <backup> and <forward> move a clock of so many divisions a quarter
    note           with <chord> begins with the one before; with <grace> takes no time; with <tie> goes on with another

Laws: repeats are not played. Any bytes give either the notes that they encode or a ValueError that names the file and,
where it is known, the part and the measure.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from jnn.data.sources._archive import unpack
from jnn.data.sources._root import PathLike, find

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
BEATS = range(1, 129)  # of a time signature, above and below its line
NUMBER = re.compile(r"\d{1,6}(\.\d{1,6})?")  # of divisions, which few files have more than 10,080 of to a quarter
Element = ElementTree.Element


class Note(NamedTuple):
    """Note: its onset and duration in quarters, its MIDI pitch (60 is middle C), and whether it has a fermata."""

    onset: Fraction
    duration: Fraction
    pitch: int
    fermata: bool = False


class Bar(NamedTuple):
    """Bar: its onset and length in quarters, and the length that its time signature says; 0 if there is none."""

    onset: Fraction
    length: Fraction
    full: Fraction


class Part(NamedTuple):
    """Part of a score: its name, its notes as they are written, its bars, and its first key's sharps (-1: one flat)."""

    name: str
    notes: list[Note]
    bars: list[Bar]
    fifths: int


def bach_chorales(data_dir: PathLike | None = None) -> dict[str, list[Part]]:
    """Chorales of J. S. Bach, in the edition of Margaret Greentree as music21 carries it; one work is a prelude.

    See "music21: A Toolkit for Computer-Aided Musicology and Symbolic Music Data", Cuthbert and Ariza, 2010.

    Args:
      data_dir: as for `data_root`; the files are `bach_chorales/*.mxl` and two `*.xml`.

    Returns:
      The parts of each work, from the highest staff down, by the name of its file without the ending.

    Raises:
      FileNotFoundError: one line that says which folder, where, and how to get it.
      ValueError: no score in it, or a damaged one.
    """
    folder = find(data_dir, "bach_chorales/", how="put the chorales of music21's corpus there, in MusicXML")
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".mxl", ".xml"))
    if not paths:
        raise ValueError(f"{folder.name}: expected scores, found no .mxl and no .xml.")
    return {path.stem: read_musicxml(path) for path in paths}


def read_musicxml(path: PathLike) -> list[Part]:
    """MusicXML: the parts of a score, each with its notes in quarters.

    See "MusicXML Version 4.0", W3C Music Notation Community Group, 2021.

    Args:
      path: the file; one that begins as a zip does is a packed one.

    Returns:
      Parts in the order of the file; notes in the order of their onsets, those that are tied as one.

    Raises:
      ValueError: not such a file, scores by measures before parts (score-timewise), or a note that makes no sense.

    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("<score-partwise><part><measure><attributes><divisions>2</divisions></attributes>")
    ...     _ = file.write("<note><pitch><step>C</step><octave>4</octave></pitch><duration>3</duration></note>")
    ...     _ = file.write("</measure></part></score-partwise>")
    ...     file.flush()
    ...     read_musicxml(file.name)[0].notes
    [Note(onset=Fraction(0, 1), duration=Fraction(3, 2), pitch=60, fermata=False)]
    """
    name = Path(path).name
    data = Path(path).read_bytes()
    root = _parse(name, _unpacked(path) if data.startswith(b"PK") else data)
    if root.tag != "score-partwise":
        raise ValueError(f"{name}: expected a score-partwise, found {root.tag[:60]!r}.")
    names = {
        each.get("id"): (each.findtext("part-name") or "").strip() for each in root.iterfind("part-list/score-part")
    }
    return [
        _part(f"{name}: part {i}", names.get(part.get("id"), ""), part) for i, part in enumerate(root.findall("part"))
    ]


def _unpacked(path: PathLike) -> bytes:
    """The score in a packed file, where the file's container says that it is."""
    name = Path(path).name
    with tempfile.TemporaryDirectory() as folder:
        root = unpack(path, Path(folder) / "score")
        files = {file.relative_to(root).as_posix(): file for file in root.rglob("*") if file.is_file()}
        if (container := files.get("META-INF/container.xml")) is None:
            raise ValueError(f"{name}: expected META-INF/container.xml, found {sorted(files)[:8]}.")
        rootfile = _parse(f"{name}: container.xml", container.read_bytes()).find("rootfiles/rootfile")
        score = None if rootfile is None else files.get(rootfile.get("full-path", ""))
        if score is None:
            raise ValueError(f"{name}: its container names none of its files as the score: {sorted(files)[:8]}.")
        return score.read_bytes()


def _parse(name: str, data: bytes) -> Element:
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise ValueError(f"{name}: not XML ({error}).") from error


@dataclasses.dataclass
class _Reading:
    """Where the reading of a part is: notes with their ties, times in quarters, `begun` of the note that a chord's
    others begin with."""

    notes: list[tuple[Note, list[str | None]]]
    divisions: Fraction = Fraction(1)
    now: Fraction = Fraction(0)
    begun: Fraction = Fraction(0)
    furthest: Fraction = Fraction(0)
    full: Fraction = Fraction(0)
    fifths: int | None = None

    def move(self, by: Fraction) -> None:
        self.now += by
        self.furthest = max(self.furthest, self.now)


def _part(where: str, name: str, part: Element) -> Part:
    reading, bars = _Reading([]), []
    for i, measure in enumerate(part.findall("measure")):
        begin = reading.now = reading.begun = reading.furthest
        for element in measure:
            if (act := _ACTS.get(element.tag)) is not None:
                act(f"{where}, measure {i}", element, reading)
        bars.append(Bar(begin, reading.furthest - begin, reading.full))
    return Part(name, _tied(reading.notes), bars, reading.fifths or 0)


def _tied(found: list[tuple[Note, list[str | None]]]) -> list[Note]:
    """Notes in order, those that are tied as one, in whatever order the file has its voices."""
    notes: list[Note] = []
    open_ends: dict[tuple[int, Fraction], list[int]] = defaultdict(list)  # by pitch and end, places of what goes on
    for note, ties in sorted(found, key=lambda each: each[0].onset):
        place, from_here = len(notes), open_ends[note.pitch, note.onset]
        if "stop" in ties and from_here:
            place = from_here.pop(0)
            before = notes[place]
            fermata = before.fermata or note.fermata
            notes[place] = before._replace(duration=before.duration + note.duration, fermata=fermata)
        else:
            notes.append(note)
        if "start" in ties:
            open_ends[note.pitch, note.onset + note.duration].append(place)
    return sorted(notes, key=lambda note: note[:2])


def _attributes(where: str, element: Element, reading: _Reading) -> None:
    if element.find("divisions") is not None:
        reading.divisions = _number(where, element, "divisions")
        if reading.divisions == 0:
            raise ValueError(f"{where}: expected divisions above 0.")
    if element.find("time/senza-misura") is not None:
        reading.full = Fraction(0)
    if (time := element.find("time")) is not None and time.find("beats") is not None:
        reading.full = _full(where, time)
    if element.find("key/fifths") is not None and reading.fifths is None:
        reading.fifths = _whole(where, element, "key/fifths", range(-12, 13))


def _full(where: str, time: Element) -> Fraction:
    """The length of a bar: of a composite signature, as 2/4 + 3/8 or (3+2)/8, that of all its parts."""
    beats, kinds = ([each.text or "" for each in time.iterfind(name)] for name in ("beats", "beat-type"))
    if len(beats) != len(kinds):
        raise ValueError(f"{where}: time: expected a beat-type for each beats, found {len(beats)} and {len(kinds)}.")
    return sum(
        (
            Fraction(4 * _integer(where, "time/beats", one, BEATS), _integer(where, "time/beat-type", kind, BEATS))
            for many, kind in zip(beats, kinds, strict=True)
            for one in many.split("+")
        ),
        Fraction(0),
    )


def _note(where: str, element: Element, reading: _Reading) -> None:
    if element.find("grace") is not None:
        return
    duration = _number(where, element, "duration") / reading.divisions
    if element.find("chord") is None:
        reading.begun = reading.now
        reading.move(duration)
    if element.find("pitch") is None:  # a rest, or a drum's
        return
    found = Note(reading.begun, duration, _pitch(where, element), element.find("notations/fermata") is not None)
    reading.notes.append((found, [tie.get("type") for tie in element.findall("tie")]))


def _backup(where: str, element: Element, reading: _Reading) -> None:
    reading.now -= _number(where, element, "duration") / reading.divisions
    if reading.now < 0:
        raise ValueError(f"{where}: goes back to before the beginning.")


def _forward(where: str, element: Element, reading: _Reading) -> None:
    reading.move(_number(where, element, "duration") / reading.divisions)


_ACTS = {"attributes": _attributes, "note": _note, "backup": _backup, "forward": _forward}


def _pitch(where: str, element: Element) -> int:
    step = (element.findtext("pitch/step") or "").strip()
    if step not in SEMITONES:
        raise ValueError(f"{where}: expected a step of {''.join(SEMITONES)}, found {step[:60]!r}.")
    alter = 0 if element.find("pitch/alter") is None else _whole(where, element, "pitch/alter", range(-2, 3))
    pitch = 12 * (_whole(where, element, "pitch/octave", range(10)) + 1) + SEMITONES[step] + alter
    if not 0 <= pitch < 128:
        raise ValueError(f"{where}: expected a pitch that MIDI has, 0 to 127, found {pitch}.")
    return pitch


def _number(where: str, element: Element, path: str) -> Fraction:
    text = (element.findtext(path) or "").strip()
    if not (text.isascii() and NUMBER.fullmatch(text)):
        raise ValueError(f"{where}: {path}: expected a number below a million, found {text[:60]!r}.")
    return Fraction(text)


def _whole(where: str, element: Element, path: str, among: range) -> int:
    return _integer(where, path, element.findtext(path) or "", among)


def _integer(where: str, path: str, text: str, among: range) -> int:
    text = text.strip()
    if not (text.isascii() and re.fullmatch(r"[+-]?\d{1,3}(\.0{1,6})?", text) and int(float(text)) in among):
        raise ValueError(
            f"{where}: {path}: expected a whole number from {among[0]} to {among[-1]}, found {text[:60]!r}."
        )
    return int(float(text))
