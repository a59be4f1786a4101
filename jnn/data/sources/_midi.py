"""Standard MIDI files, by mido (the extra `music`): the notes of each track, in quarters from its beginning.

Laws: what `write_midi` writes, `read_midi` reads, to the tick, of which a quarter has 480, but for what the format has
no words for: a note takes one tick at least, and of notes of one pitch that overlap in a part the first that began ends
first. Bytes that are no MIDI file are a ValueError that names the file.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from jnn.data.sources._musicxml import Note, Part
from jnn.data.sources._root import PathLike
from jnn.optional import optional

TICKS = 480  # of a quarter
LOUDNESS = 72  # of 127


def read_midi(path: PathLike) -> list[Part]:
    """MIDI: a part for each track that has notes, without bars.

    See "Standard MIDI Files 1.0", MIDI Manufacturers Association, 1988.

    Args:
      path: the file, with ticks of a quarter.

    Returns:
      Parts in the order of the tracks; a note that never ends has no duration, and is left out.

    Raises:
      ImportError: mido is not there.
      ValueError: not such a file, or one whose ticks are of a second.

    >>> import tempfile
    >>> parts = [Part("Bass", [Note(Fraction(1, 2), Fraction(3), 48)], [], 0)]
    >>> read_midi(write_midi(tempfile.mkdtemp() + "/a.mid", parts)) == parts  # doctest: +SKIP
    True
    """
    mido, name = optional("mido", "music"), Path(path).name
    with open(path, "rb") as file:
        try:
            found = mido.MidiFile(file=file)
        except (EOFError, OSError, ValueError, LookupError, TypeError, mido.KeySignatureError) as error:
            raise ValueError(f"{name}: not a MIDI file ({type(error).__name__}: {error}).") from error
    if found.ticks_per_beat < 1:
        raise ValueError(f"{name}: expected ticks of a quarter, found those of a second.")
    parts = [Part(_name(track.name), _notes(track, found.ticks_per_beat), [], 0) for track in found.tracks]
    return [part for part in parts if part.notes]


def _name(latin: str) -> str:
    """The name of a track, which mido reads as Latin-1, where it is UTF-8, as others and `write_midi` have it."""
    try:
        return latin.encode("latin-1").decode()
    except UnicodeDecodeError:
        return latin


def _notes(track: Any, ticks: int) -> list[Note]:
    """Notes of a track; of one pitch, the first that began ends first."""
    begun, notes, now = defaultdict(list), [], 0
    for message in track:
        now += message.time
        if message.type == "note_on" and message.velocity:
            begun[message.channel, message.note].append(now)
        elif message.type in ("note_on", "note_off") and begun[message.channel, message.note]:
            onset = begun[message.channel, message.note].pop(0)
            notes.append(Note(Fraction(onset, ticks), Fraction(now - onset, ticks), message.note))
    return sorted(notes)


def write_midi(path: PathLike, parts: Sequence[Part], *, tempo: float = 76.0, program: int = 52) -> str:
    """MIDI file: a track for each part, on channels of their own as far as there are any.

    Args:
      path: the file, which is replaced.
      parts: their names and notes, whose onsets and ends are rounded to 480ths of a quarter; each takes one at least.
        Where notes of one pitch overlap in a part, all of them begin and end, but whose end is whose is lost.
      tempo: quarters a minute.
      program: the instrument by its number in General MIDI: 52 is a choir, 19 a church organ.

    Returns:
      The path.

    Raises:
      ImportError: mido is not there.
      ValueError: a pitch beyond 0..127, an onset or a duration below 0, or a tempo that is not above 0.
    """
    mido = optional("mido", "music")
    if not tempo > 0:
        raise ValueError(f"write_midi: expected quarters a minute above 0, found {tempo}.")
    for note in (note for part in parts for note in part.notes):
        if not (0 <= note.pitch < 128 and note.onset >= 0 and note.duration >= 0):
            raise ValueError(
                f"write_midi: expected a pitch in 0..127, and onset and duration of 0 or more, found {note}."
            )
    file = mido.MidiFile(ticks_per_beat=TICKS, charset="utf-8")
    for i, part in enumerate(parts):
        channel = [c for c in range(16) if c != 9][i % 15]  # the tenth is the drums'
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=part.name)])
        if i == 0:
            track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
        track.append(mido.Message("program_change", channel=channel, program=program))
        track.extend(_messages(mido, part.notes, channel))
        file.tracks.append(track)
    file.save(path)
    return os.fspath(path)


def _messages(mido: Any, notes: Sequence[Note], channel: int) -> list[Any]:
    """Beginnings and ends, each with the ticks since the one before; of one time, ends come first."""
    events = []
    for note in notes:
        onset, end = (round(TICKS * time) for time in (note.onset, note.onset + note.duration))
        events += [(onset, 1, note.pitch), (max(end, onset + 1), 0, note.pitch)]
    messages, before = [], 0
    for time, on, pitch in sorted(events):
        kind, loudness = ("note_on", LOUDNESS) if on else ("note_off", 0)
        messages.append(mido.Message(kind, channel=channel, note=pitch, velocity=loudness, time=time - before))
        before = time
    return messages
