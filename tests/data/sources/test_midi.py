"""MIDI by mido: what is written is read, and what another wrote, byte by byte; nothing else is taken for a file."""

import struct
from fractions import Fraction

import numpy as np
import pytest

from jnn.data import Note, Part, read_midi, write_midi

pytest.importorskip("mido")


def made(rng, voices=4):
    """Parts of notes one after another, some with a rest between, on 480ths of a quarter."""
    parts = []
    for i in range(voices):
        notes, now = [], Fraction(0)
        for _ in range(12):
            now += Fraction(int(rng.integers(0, 3)), 4)
            length = Fraction(int(rng.integers(1, 1000)), 480)
            notes.append(Note(now, length, int(rng.integers(128))))
            now += length
        parts.append(Part(f"voice {i}", notes, [], 0))
    return parts


@pytest.mark.parametrize("seed", range(3))
def test_what_is_written_is_read(tmp_path, seed):
    parts = made(np.random.default_rng(seed), voices=18)  # more than there are channels
    assert read_midi(write_midi(tmp_path / "a.mid", parts, tempo=60)) == parts


def test_repeated_pitches_end_before_they_begin_again(tmp_path):
    parts = [Part("a", [Note(Fraction(i), Fraction(1), 60) for i in range(3)], [], 0)]
    assert read_midi(write_midi(tmp_path / "a.mid", parts)) == parts


def test_overlapping_notes_of_one_pitch_keep_their_onsets_and_ends(tmp_path):
    """The law's exceptions: the format cannot say whose end an end is, nor a note that takes no time."""
    notes = [Note(Fraction(0), Fraction(4), 60), Note(Fraction(1), Fraction(1), 60), Note(Fraction(9), Fraction(0), 60)]
    (part,) = read_midi(write_midi(tmp_path / "a.mid", [Part("a", notes, [], 0)]))
    assert [note[:2] for note in part.notes] == [(0, 2), (1, 3), (9, Fraction(1, 480))]


@pytest.mark.parametrize("name", ["Bass", "Fl\u00f6te", "\u0411\u0430\u0441", "\u7bb1"])
def test_names_are_of_any_letters(tmp_path, name):
    parts = [Part(name, [Note(Fraction(0), Fraction(1), 60)], [], 0)]
    assert read_midi(write_midi(tmp_path / "a.mid", parts)) == parts


def test_names_in_latin_letters_of_another_hand_are_read(tmp_path):
    track = b"\x00\xff\x03\x05Fl\xf6te" + bytes([0, 0x90, 60, 80, 96, 60, 0, 0, 0xFF, 0x2F, 0])
    (tmp_path / "a.mid").write_bytes(standard(track))
    assert [part.name for part in read_midi(tmp_path / "a.mid")] == ["Fl\u00f6te"]


@pytest.mark.parametrize("note", [(-1, 1, 60), (1, -1, 60), (0, 1, 128), (0, 1, -1)])
def test_notes_that_make_no_sense_are_refused_and_the_file_is_as_it_was(tmp_path, note):
    (tmp_path / "a.mid").write_bytes(b"before")
    with pytest.raises(
        ValueError, match=r"write_midi: expected a pitch in 0..127, and onset and duration of 0 or more"
    ):
        write_midi(tmp_path / "a.mid", [Part("a", [Note(*note)], [], 0)])
    assert (tmp_path / "a.mid").read_bytes() == b"before"


def standard(track, division=96):
    head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, division)
    return head + b"MTrk" + struct.pack(">I", len(track)) + track


def test_a_file_of_another_hand_is_read(tmp_path):
    """Running status, a note that ends by loudness 0, and one that never ends."""
    track = bytes([0, 0x91, 60, 80, 48, 64, 80, 48, 60, 0, 0, 64, 0, 0, 70, 9, 0, 0xFF, 0x2F, 0])
    (tmp_path / "a.mid").write_bytes(standard(track))
    (part,) = read_midi(tmp_path / "a.mid")
    assert [tuple(note[:3]) for note in part.notes] == [(0, 1, 60), (Fraction(1, 2), Fraction(1, 2), 64)]


def test_ticks_of_seconds_are_refused(tmp_path):
    (tmp_path / "a.mid").write_bytes(standard(bytes([0, 0xFF, 0x2F, 0]), division=0xE728))
    with pytest.raises(ValueError, match=r"a.mid: expected ticks of a quarter"):
        read_midi(tmp_path / "a.mid")


def damaged(data, rng):
    """Three bytes changed, and an end cut off."""
    changed = bytearray(data)
    for _ in range(3):
        changed[int(rng.integers(len(data)))] = int(rng.integers(256))
    return bytes(changed[: int(rng.integers(1, len(data) + 1))])


def test_damaged_files_are_one_clear_error_or_notes(tmp_path):
    path, refusals = tmp_path / "a.mid", []
    write_midi(path, made(np.random.default_rng(0)))
    data = path.read_bytes()
    for i in range(200):
        path.write_bytes(damaged(data, np.random.default_rng(i)))
        try:
            assert all(0 <= note.pitch < 128 for part in read_midi(path) for note in part.notes)
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > 100
    assert all(refusal.startswith("a.mid: ") for refusal in refusals)


def test_a_tempo_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="write_midi: expected quarters a minute above 0, found 0"):
        write_midi(tmp_path / "a.mid", [], tempo=0)
