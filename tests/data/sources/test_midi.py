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
