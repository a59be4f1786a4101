"""Scores as MusicXML, written from its description and not by jnn."""

import io
import zipfile

STEPS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
CONTAINER = '<container><rootfiles><rootfile full-path="{}"/></rootfiles></container>'


def note(pitch, duration, *, chord=False, grace=False, tie="", fermata=False):
    """A note of so many divisions; pitch None is a rest."""
    what = "<rest/>" if pitch is None else pitched(pitch)
    ties = "".join(f'<tie type="{kind}"/>' for kind in tie.split())
    marks = "<notations><fermata/></notations>" if fermata else ""
    length = "" if grace else f"<duration>{duration}</duration>"
    return f"<note>{'<chord/>' * chord}{'<grace/>' * grace}{what}{length}{ties}{marks}</note>"


def pitched(pitch):
    step = STEPS[pitch % 12]
    alter = "<alter>1</alter>" if "#" in step else ""
    return f"<pitch><step>{step[0]}</step>{alter}<octave>{pitch // 12 - 1}</octave></pitch>"


def attributes(divisions=4, fifths=0, beats=4, kind=4):
    time = f"<time><beats>{beats}</beats><beat-type>{kind}</beat-type></time>"
    return f"<attributes><divisions>{divisions}</divisions><key><fifths>{fifths}</fifths></key>{time}</attributes>"


def score(parts):
    """Parts {name: [measure, ...]}, each the text of its elements."""
    names = "".join(f'<score-part id="P{i}"><part-name>{n}</part-name></score-part>' for i, n in enumerate(parts))
    measures = lambda part: "".join(f"<measure>{measure}</measure>" for measure in part)
    bodies = "".join(f'<part id="P{i}">{measures(part)}</part>' for i, part in enumerate(parts.values()))
    return f"<score-partwise><part-list>{names}</part-list>{bodies}</score-partwise>".encode()


def packed(data, name="a.xml", container=CONTAINER):
    """As .mxl."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container.format(name))
        archive.writestr(name, data)
    return file.getvalue()
