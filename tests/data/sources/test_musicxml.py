"""MusicXML: what moves the clock, what is tied, what is refused; chorales against music21, where it is installed."""

from fractions import Fraction

import pytest

from jnn.data import bach_chorales, data_root, read_musicxml
from tests.data.sources.scores import attributes, note, packed, score


def read(tmp_path, data, name="a.xml"):
    (tmp_path / name).write_bytes(data)
    return read_musicxml(tmp_path / name)


def told(part):
    return [(float(n.onset), float(n.duration), n.pitch, n.fermata) for n in part.notes]


def test_notes_are_in_quarters_whatever_the_divisions(tmp_path):
    first = attributes(2, fifths=-3, beats=3) + note(60, 2) + note(None, 1) + note(61, 3, fermata=True)
    second = "<attributes><divisions>480</divisions></attributes>" + note(62, 480) + note(64, 480, chord=True)
    (part,) = read(tmp_path, score({"Soprano": [first, second]}))
    assert told(part) == [(0, 1, 60, False), (1.5, 1.5, 61, True), (3, 1, 62, False), (3, 1, 64, False)]
    assert (part.name, part.fifths) == ("Soprano", -3)
    assert part.bars == [(0, 3, 3), (3, 1, 3)]


def test_voices_go_back_and_forth_and_ornaments_take_no_time(tmp_path):
    go = lambda tag, duration: f"<{tag}><duration>{duration}</duration></{tag}>"
    measure = attributes(1) + note(72, 4) + go("backup", 4) + note(70, 1, grace=True) + note(60, 1) + go("forward", 1)
    (part,) = read(tmp_path, score({"": [measure + note(62, 2), note(64, 4)]}))
    assert [n[:3] for n in told(part)] == [(0, 1, 60), (0, 4, 72), (2, 2, 62), (4, 4, 64)]
    assert [bar.length for bar in part.bars] == [4, 4]


def test_tied_notes_are_one_and_repeated_ones_are_not(tmp_path):
    first = attributes(1) + note(60, 3) + note(62, 1, tie="start")
    second = note(62, 2, tie="stop start") + note(62, 1, tie="stop", fermata=True) + note(62, 1)
    (part,) = read(tmp_path, score({"Bass": [first, second]}))
    assert told(part) == [(0, 3, 60, False), (3, 4, 62, True), (7, 1, 62, False)]


def test_ties_are_found_behind_whatever_other_voices_say(tmp_path):
    back = "<backup><duration>4</duration></backup>"
    others = back + "".join(note(48 + i, 0.25) for i in range(16))
    (part,) = read(tmp_path, score({"": [attributes(1) + note(72, 4, tie="start") + others, note(72, 4, tie="stop")]}))
    assert [n for n in told(part) if n[2] == 72] == [(0, 8, 72, False)]
    late = note(None, 2) + note(72, 2, tie="stop") + back + note(72, 2, tie="start") + note(None, 2)
    assert told(*read(tmp_path, score({"": [attributes(1) + late]}))) == [
        (0, 4, 72, False)
    ]  # a voice that begins later
    unison = note(60, 4, tie="start") + back + note(None, 2) + note(60, 2, tie="start")
    ends = note(60, 1, tie="stop") + "<backup><duration>1</duration></backup>" + note(60, 3, tie="stop")
    (part,) = read(tmp_path, score({"": [attributes(1) + unison, ends]}))
    assert [n[:2] for n in told(part)] == [(0, 5), (2, 5)]


def test_what_does_not_begin_a_tie_is_not_gone_on_with(tmp_path):
    (part,) = read(tmp_path, score({"": [attributes(1) + note(60, 4), note(60, 4, tie="stop")]}))
    assert [n[:2] for n in told(part)] == [(0, 4), (4, 4)]


def test_a_bar_without_a_measure_has_no_full_length(tmp_path):
    free = "<attributes><time><senza-misura/></time></attributes>" + note(60, 7)
    (part,) = read(tmp_path, score({"": [attributes(1) + note(60, 4), free, note(60, 1)]}))
    assert [bar.full for bar in part.bars] == [4, 0, 0]


def test_a_composite_time_signature_is_the_sum_of_its_parts(tmp_path):
    sums = attributes(beats="3+2", kind=8)
    pairs = sums.replace("<time>", "<time><beats>2</beats><beat-type>4</beat-type>")
    other = "<interchangeable><beats>7</beats><beat-type>4</beat-type></interchangeable></time>"
    measures = [sums, pairs, pairs.replace("</time>", other)]
    (part,) = read(tmp_path, score({"": [measure + note(60, 4) for measure in measures]}))
    assert [bar.full for bar in part.bars] == [2.5, 4.5, 4.5]


def test_a_packed_score_is_the_one_that_its_container_names(tmp_path):
    data = score({"Alto": [attributes() + note(60, 4)]})
    assert read(tmp_path, packed(data, "scores/b.musicxml"), "a.mxl") == read(tmp_path, data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"a.xml: not XML"),
        (b"<score-timewise/>", r"a.xml: expected a score-partwise, found 'score-timewise'"),
        (score({"": [note(60, 0.5), note(60, "x")]}), r"a.xml: part 0, measure 1: duration: expected a number.* 'x'"),
        (score({"": ["", note(60, "nan")]}), r"measure 1: duration: .* 'nan'"),
        (score({"": [note(60, "9" * 9)]}), r"duration: expected a number below a million"),
        (score({"": [note(60, 1).replace("C", "H")]}), r"expected a step of CDEFGAB, found 'H'"),
        (score({"": [note(61, 1).replace("<alter>1", "<alter>0.5")]}), r"alter: expected a whole number.* '0.5'"),
        (score({"": [note(127, 1).replace("G", "B")]}), r"expected a pitch that MIDI has, 0 to 127, found 131"),
        (score({"": [attributes(0)]}), r"expected divisions above 0"),
        (score({"": [attributes(1, kind=0)]}), r"time/beat-type: expected a whole number from 1 to 128, found '0'"),
        (score({"": [attributes(1, beats="3+x")]}), r"time/beats: expected a whole number from 1 to 128, found 'x'"),
        (
            score({"": [attributes(1).replace("<time>", "<time><beats>2</beats>")]}),
            r"time: expected a beat-type for each beats, found 2 and 1",
        ),
        (score({"": ["<backup><duration>1</duration></backup>"]}), r"goes back to before the beginning"),
        (packed(b"<a/>", container="<container/>"), r"a.xml: its container names none of its files"),
        (packed(b"<a/>")[:40], r"a.xml: a damaged archive"),
    ],
)
def test_a_damaged_score_is_one_clear_error(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, data)


def test_entities_that_multiply_are_refused(tmp_path):
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "ha" * 50}">' for i in range(9))
    text = f"<!DOCTYPE a [{entities}]><score-partwise>&e8;</score-partwise>"
    with pytest.raises(ValueError, match=r"a.xml: not XML"):
        read(tmp_path, text.encode())


def test_a_folder_without_scores_is_an_error(tmp_path):
    (tmp_path / "bach_chorales").mkdir()
    with pytest.raises(ValueError, match="bach_chorales: expected scores"):
        bach_chorales(tmp_path)


@pytest.mark.parametrize("name", ["bwv66.6", "bwv1.6", "bwv227.1", pytest.param("bwv248.64-6", marks=pytest.mark.slow)])
def test_chorales_are_what_music21_reads(name):
    music21 = pytest.importorskip("music21")
    path = data_root() / "bach_chorales" / f"{name}.mxl"
    if not path.is_file():
        pytest.skip(f"bach_chorales/{name}.mxl is not in {data_root()}; set JNN_DATA to where it is.")
    theirs, ours = music21.converter.parse(path, forceSource=True), read_musicxml(path)
    assert [part.partName for part in theirs.parts] == [part.name for part in ours]
    for part, own in zip(theirs.parts, ours, strict=True):
        notes = [n for n in part.stripTies().flatten().notes if not n.duration.isGrace]
        fermata = lambda n: any(type(mark).__name__ == "Fermata" for mark in n.expressions)
        wanted = [(Fraction(n.offset), Fraction(n.quarterLength), n.pitch.midi) for n in notes]
        assert [tuple(n[:3]) for n in own.notes] == wanted
        assert [n.fermata for n in own.notes] == [fermata(n) for n in notes]
        assert own.fifths == part.flatten().getElementsByClass("KeySignature")[0].sharps
        bars = [Fraction(bar.offset) for bar in part.getElementsByClass("Measure")]
        assert [bar.onset for bar in own.bars] == bars
